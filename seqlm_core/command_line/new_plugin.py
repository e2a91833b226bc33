"""``seqlm new-plugin``"""

from __future__ import annotations

import shlex

import click

from seqlm_core.new_plugin.package import KINDS, new_plugin


@click.command("new-plugin")
@click.argument("name", metavar="NAME")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What the plugin adds.")
@click.option(
    "--directory",
    "parent",
    default=".",
    show_default=True,
    metavar="DIRECTORY",
    help="Where the package's folder is made.",
)
def new_plugin_command(name: str, kind: str, parent: str) -> None:
    """Write a package with a plugin called NAME that works, to be changed into another.

    It has a module, a test, a README and what pip needs, and registers NAME.
    """
    written = new_plugin(name, kind, parent)
    module = written / f"seqlm_{name.replace('-', '_')}.py"
    click.echo(f"written     {written}")
    click.echo(f"change      {module}")
    click.echo(f"install     pip install -e {shlex.quote(str(written))}")
    click.echo(f"check       seqlm check {kind}:{name}")
