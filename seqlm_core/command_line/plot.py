"""``seqlm plot``"""

from __future__ import annotations

import click

from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.views.loss_picture import AXES, FIGURES, plot_runs


@click.command("plot")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--out", metavar="FILE", required=True, help="The picture to write: a .png, .svg or .pdf file.")
@click.option(
    "--x", type=click.Choice(list(AXES)), default="step", show_default=True, help="What the horizontal axis shows."
)
@click.option(
    "--figure",
    type=click.Choice(FIGURES),
    default="loss",
    show_default=True,
    help="The loss as it was trained, in bits, or as perplexity.",
)
@click.option(
    "--smoothing",
    type=float,
    default=0.0,
    show_default=True,
    metavar="X",
    help="Decay of the moving average of the training loss, from 0 to below 1. The legend tells it.",
)
@click.option("--title", default="", metavar="TEXT", help="Title of the picture.")
@plugin_option
def plot_command(
    runs: tuple[str, ...], out: str, x: str, figure: str, smoothing: float, title: str, plugin_files: tuple[str, ...]
) -> None:
    """Draw the losses of trainings, for a paper.

    RUN is the directory of a training. Several are drawn into one picture.
    """
    load_plugin_files(plugin_files)
    plot_runs(*runs, out=out, x=x, figure=figure, smoothing=smoothing, title=title)
    click.echo(out)
