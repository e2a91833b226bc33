"""How commands show their help: whole sentences, and the options of a training in groups."""

from __future__ import annotations

from typing import Any

import click

from seqlm_core.settings.fields import GROUPS

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


class GroupOfCommands(click.Group):
    """A group of commands. Its help shows the first sentence about each, however long the sentence is."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of the commands and what they do."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(command.help or "")) for name, command in self.commands.items()])


class GroupedOption(click.Option):
    """An option that the help shows with the others of its ``group``."""

    def __init__(self, *arguments: Any, group: str | None = None, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help shows its options in :data:`~seqlm_core.settings.fields.GROUPS`."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; those without a group are in the last one."""
        rows: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        for parameter in self.get_params(context):
            row = parameter.get_help_record(context)
            if isinstance(parameter, click.Option) and row is not None:
                rows[group_of(parameter)].append(row)
        for group, options in rows.items():
            if options:
                with formatter.section(f"{group.capitalize()} options"):
                    formatter.write_dl(options)


def group_of(parameter: click.Parameter) -> str:
    """Return the group of a parameter of a training: of its files that of texts, and the last one without a group."""
    if isinstance(parameter, click.Argument):
        return GROUPS[0]
    return getattr(parameter, "group", None) or GROUPS[-1]


def _first_sentence(text: str) -> str:
    sentence, end, _ = " ".join(text.partition("\n\n")[0].split()).partition(". ")
    return sentence + end.strip()
