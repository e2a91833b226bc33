"""How the command line words the messages of the Python API: with its options, and with the commands that mend."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import click

from seqlm_core.command_line.commands import cli
from seqlm_core.command_line.plugin_files import plugin_flag
from seqlm_core.command_line.run_commands import resume_command
from seqlm_core.command_line.setting_options import flag_of
from seqlm_core.errors import PluginNotLoadedError, PluginRuntimeError, ResumableError, SeqlmError, SettingError

NAME = re.compile("`([a-z_]+)`")
CHECK = re.compile("seqlm check ([a-z]+):([a-z0-9_-]+)")


def in_words(error: SeqlmError) -> str:
    """Return the message of an error as the command line shows it: what is wrong, and what mends it."""
    if isinstance(error, SettingError):
        return f"{_flags().get(error.setting) or flag_of(error.setting)} {with_flags(error.problem)}"
    if isinstance(error, PluginNotLoadedError):
        return f"{with_flags(error.message)}: give{plugin_flag(error.file)}"
    if isinstance(error, PluginRuntimeError):
        return f"{with_flags(str(error))} (seqlm --traceback shows all of it)"
    if isinstance(error, ResumableError):
        return with_flags(error.message) + _how_to_resume(error.resumable)
    return with_flags(str(error))


def with_flags(message: str) -> str:
    """Return a message with its names of settings as options, and with the file of a plugin that is to be checked.

    A name is a setting's if it stands within backticks and a command has an option for it; other text that stands
    within backticks is left as it is.
    """
    message = NAME.sub(lambda name: _flags().get(name[1], name[0]), message)
    return CHECK.sub(lambda command: command[0] + _flag_of_file(command[1], command[2]), message)


def _how_to_resume(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return f"; go on with: {resume_command(path)}"
    except SeqlmError:  # the run is damaged too, and resuming it would only say so
        return ""


def _flag_of_file(kind: str, name: str) -> str:
    """Return the option that a command needs to find a plugin; nothing if the plugin is installed."""
    from seqlm_core.plugins.loading import installed_plugins

    source = installed_plugins().source_of(kind, name)
    return "" if source is None or source.file is None else plugin_flag(source.file)


@functools.cache
def _flags() -> dict[str, str]:
    """Return the options of all commands by the names that Python gives to their values."""
    options = (parameter for parameter in _parameters(cli) if isinstance(parameter, click.Option))
    return {option.name: max(option.opts, key=len) for option in options if option.name is not None}


def _parameters(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            yield from _parameters(subcommand)
