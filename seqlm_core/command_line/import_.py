"""``seqlm import``"""

from __future__ import annotations

import shlex

import click

from seqlm_core.command_line.completion import complete_folders
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.runs.config import LANGUAGE_MODEL


@click.command("import")
@click.argument("folder", metavar="FOLDER", shell_complete=complete_folders)
@click.option("--out", metavar="DIRECTORY", help="Directory of the run.  [default: data/models/FOLDER-CELL-N]")
@click.option("--overwrite", is_flag=True, help="Replace the run that is in --out.")
@plugin_option
def import_command(folder: str, out: str | None, overwrite: bool, plugin_files: tuple[str, ...]) -> None:
    """Make a run of a model that was trained with PyTorch.

    FOLDER holds model.safetensors, a state dict, and model.json, which says what it is, as 'seqlm export --to pytorch'
    writes them.
    """
    import seqlm_core as seqlm

    load_plugin_files(plugin_files)
    run = seqlm.import_pytorch(folder, out, overwrite=overwrite)
    use = "sample it    seqlm sample" if run.task == LANGUAGE_MODEL else "apply it     seqlm tag apply"
    click.echo(f"run          {run.path}")
    click.echo(f"{use} {shlex.quote(str(run.path))}")
