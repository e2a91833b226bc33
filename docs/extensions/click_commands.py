"""The directive ``click-commands``: every command of the command line, with its options as ``--help`` groups them.

.. code-block:: rst

    .. click-commands:: seqlm_core.command_line.commands:cli seqlm

sphinx-click does the same for other programs. It does not know groups of options, by which our help is read.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

from seqlm_core.settings.fields import GROUPS

SPECIAL = re.compile(r"([\\*`|_<])")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")


class ClickCommands(SphinxDirective):
    """A section for each command of a group, and within it one for each group of its options."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        where, name = self.arguments
        module, _, attribute = where.partition(":")
        group = getattr(importlib.import_module(module), attribute)
        parent = nodes.section()
        parent.document = self.state.document
        lines = [*options_of(group, context_of(group, name), name), *sections(group, name)]
        nested_parse_with_titles(self.state, StringList(lines, source=where), parent)
        return parent.children


def sections(group: click.Group, name: str, context: click.Context | None = None) -> Iterator[str]:
    """Yield the lines of a section for each command of a group, in reStructuredText."""
    context = context or context_of(group, name)
    for command_name, command in group.commands.items():
        called = f"{name} {command_name}"
        of_command = context_of(command, command_name, context)
        yield from ("", called, "-" * len(called), "")
        yield from (".. code-block:: text", "", f"    {command.get_usage(of_command).partition(': ')[2]}", "")
        for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
            yield from (in_rst(" ".join(paragraph.split())), "")
        yield from options_of(command, of_command, called)
        if isinstance(command, click.Group):
            yield from sections(command, called, of_command)


def context_of(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    """Return the context in which a command prints its help."""
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


def options_of(command: click.Command, context: click.Context, called: str) -> Iterator[str]:
    """Yield the lines of a command's options, under a heading for each group if there are several."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            groups.setdefault(getattr(parameter, "group", None) or GROUPS[-1], []).append(record)
    yield from (f".. program:: {called}", "")
    for group in sorted(groups, key=GROUPS.index):
        if len(groups) > 1:
            yield from (f".. rubric:: {group.capitalize()} options", "")
        for names, text in groups[group]:
            yield from (f".. option:: {names.replace(' / ', ', ')}", "", f"    {in_rst(text)}", "")


def in_rst(text: str) -> str:
    """Return a text of help on one line, with options as code, and with nothing that is markup."""
    return OPTION.sub(r"``\1``", SPECIAL.sub(r"\\\1", " ".join(text.split())))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("click-commands", ClickCommands)
    return {"version": "1", "parallel_read_safe": True}
