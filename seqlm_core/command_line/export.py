"""``seqlm export``"""

from __future__ import annotations

from typing import Callable

import click

import seqlm_core as seqlm
from seqlm_core.command_line.completion import complete_runs
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option

FORMATS: dict[str, Callable[..., None]] = {"onnx": seqlm.export_onnx, "pytorch": seqlm.export_pytorch}
"""The formats, each with the function that writes it, which is called with ``run``, ``out`` and ``overwrite``."""


@click.command("export")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.option("--to", "format_name", type=click.Choice(list(FORMATS)), required=True, help="The format.")
@click.option("--out", metavar="PATH", required=True, help="The folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier export has written there.")
@plugin_option
def export_command(run: str, format_name: str, out: str, overwrite: bool, plugin_files: tuple[str, ...]) -> None:
    """Write the model of a run in a format of other programs.

    RUN is the directory of a training. onnx: files of ONNX, and a program that uses them, for which onnxruntime and
    NumPy are enough. pytorch: a state dict, and a module of torch.nn layers that loads it.
    """
    load_plugin_files(plugin_files)
    FORMATS[format_name](run, out, overwrite=overwrite)
    click.echo(out)
