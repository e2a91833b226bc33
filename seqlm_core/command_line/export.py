"""``seqlm export``"""

from __future__ import annotations

from typing import Any, Callable

import click

import seqlm_core as seqlm
from seqlm_core.command_line.completion import complete_runs
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.errors import UsageError
from seqlm_core.interchange.html_weights import FLOAT16, ROUNDINGS

FORMATS: dict[str, Callable[..., None]] = {
    "onnx": seqlm.export_onnx,
    "pytorch": seqlm.export_pytorch,
    "html": seqlm.export_html,
}
"""The formats, each with the function that writes it, which is called with ``run``, ``out`` and ``overwrite``."""
OF_SOME = {"weights": ("html",)}
"""The options that only some formats have."""


@click.command("export")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.option("--to", "format_name", type=click.Choice(list(FORMATS)), required=True, help="The format.")
@click.option("--out", metavar="PATH", required=True, help="The folder to write, or the file of html.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier export has written there.")
@click.option(
    "--weights",
    type=click.Choice(ROUNDINGS),
    help=f"Of html: how the weights are rounded.  [default: {FLOAT16}]",
)
@plugin_option
def export_command(
    run: str, format_name: str, out: str, overwrite: bool, plugin_files: tuple[str, ...], **options: Any
) -> None:
    """Write the model of a run in a form for elsewhere.

    RUN is the directory of a training. onnx: files of ONNX, and a program that uses them, for which onnxruntime and
    NumPy are enough. pytorch: a state dict, and a module of torch.nn layers that loads it. html: a page, one file that
    writes text with a language model in a browser, without a network.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if format_name not in OF_SOME[name]:
            raise UsageError(f"`{name}` is for {', '.join(OF_SOME[name])}, not for {format_name}")
    load_plugin_files(plugin_files)
    FORMATS[format_name](run, out, overwrite=overwrite, **given)
    click.echo(out)
