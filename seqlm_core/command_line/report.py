"""``seqlm report``"""

from __future__ import annotations

import click

from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.views.report_page import write_report


@click.command("report")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--out", metavar="FILE", default="report.html", show_default=True, help="The page to write.")
@plugin_option
def report_command(runs: tuple[str, ...], out: str, plugin_files: tuple[str, ...]) -> None:
    """Write a page that shows a training, or compares several.

    RUN is the directory of a training. The page has the curves of loss, learning rate and speed, the figures, the
    settings that differ, the samples during the training, and the commands. It is one HTML file, which needs no
    network.
    """
    load_plugin_files(plugin_files)
    write_report(*runs, out=out)
    click.echo(out)
