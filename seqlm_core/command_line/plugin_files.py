"""The option ``--plugin`` of the commands that use plugins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from seqlm_core.plugins.registry import Source

plugin_option = click.option(
    "--plugin",
    "plugin_files",
    metavar="FILE",
    multiple=True,
    help="Use the plugin in this Python file, which need not be installed. May be given several times.",
)


def load_plugin_files(files: Iterable[str]) -> list[Source]:
    """Load the plugins that are in files, and return the source of each."""
    from seqlm_core.plugins.files import load_plugin

    return [load_plugin(file) for file in files]
