"""``seqlm new-plugin``"""

from __future__ import annotations

import shlex

import click

from seqlm_core.command_line.completion import complete_folders
from seqlm_core.new_plugin.package import new_plugin
from seqlm_core.plugins.specs import PLUGIN_KINDS


@click.command("new-plugin")
@click.argument("name", metavar="NAME")
@click.option("--kind", type=click.Choice(PLUGIN_KINDS), required=True, help="Kind of the plugin.")
@click.option(
    "--directory",
    "parent",
    default=".",
    show_default=True,
    metavar="DIRECTORY",
    shell_complete=complete_folders,
    help="Directory in which to create the package's folder.",
)
def new_plugin_command(name: str, kind: str, parent: str) -> None:
    """Create a package with a working plugin, as a starting point for your own.

    NAME is the name of the plugin. The package contains a module, a test, a README and a pyproject.toml for pip.
    """
    written = new_plugin(name, kind, parent)
    module = written / f"seqlm_{name.replace('-', '_')}.py"
    click.echo(f"written     {written}")
    click.echo(f"change      {module}")
    click.echo(f"install     pip install -e {shlex.quote(str(written))}")
    click.echo(f"check       seqlm check {kind}:{name}")
