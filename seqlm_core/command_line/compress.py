"""``seqlm compress``"""

from __future__ import annotations

import click

from seqlm_core.command_line.completion import complete_runs
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option


@click.command("compress")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.option("--out", metavar="NEW", required=True, help="Directory to write the smaller run to.")
@click.option("--bits", type=int, default=8, show_default=True, metavar="N", help="Bits of a weight: 8.")
@click.option("--overwrite", is_flag=True, help="Replace the run that is in --out.")
@plugin_option
def compress_command(run: str, out: str, bits: int, overwrite: bool, plugin_files: tuple[str, ...]) -> None:
    """Make a smaller run of a trained one: 8 bits a weight instead of 32.

    RUN is the directory of a training. NEW can be used like RUN, but it cannot be resumed.
    """
    from seqlm_core.runs.opening import open_run

    load_plugin_files(plugin_files)
    opened = open_run(run)
    made = opened.compress(out, bits=bits, overwrite=overwrite)
    before, after = (one.weights_file.stat().st_size for one in (opened, made))
    click.echo(f"{out}: {after:,} bytes of weights instead of {before:,}")
