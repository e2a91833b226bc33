"""``seqlm report``"""

from __future__ import annotations

from pathlib import Path

import click

from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.run_commands import training_command
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
    commands = {run: training_command(Path(run)) for run in runs}
    write_report(*runs, out=out, commands={run: command for run, command in commands.items() if command is not None})
    click.echo(out)
