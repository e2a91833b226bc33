"""The option ``--plugin`` of the commands that use plugins in files."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from seqlm_core.command_line.completion import complete_files

if TYPE_CHECKING:
    from seqlm_core.plugins.registry import Source

plugin_option = click.option(
    "--plugin",
    "plugin_files",
    metavar="FILE",
    multiple=True,
    shell_complete=complete_files,
    help="Load a plugin from this Python file; it does not have to be installed. May be given several times.",
)


def load_plugin_files(files: Iterable[str]) -> list[Source]:
    """Load the plugins that are in files, and return the source of each."""
    from seqlm_core.plugins.files import load_plugin

    return [load_plugin(file) for file in files]


def plugin_flag(file: str) -> str:
    """Return what a command needs to find the plugin in a file: `` --plugin FILE``."""
    return f" --plugin {shlex.quote(file)}"


def plugin_flags(recorded: Mapping[str, Any]) -> str:
    """Return what a command needs to find the plugins that a run has recorded: `` --plugin FILE`` for each file."""
    return "".join(map(plugin_flag, plugin_files_of(recorded)))


def plugin_files_of(recorded: Mapping[str, Any]) -> list[str]:
    """Return the files of the plugins that a run has recorded, each once."""
    from seqlm_core.plugins.registry import Source

    sources = [Source(plugin["distribution"], plugin["version"]) for plugin in recorded.values()]
    return list(dict.fromkeys(source.file for source in sources if source.file is not None))
