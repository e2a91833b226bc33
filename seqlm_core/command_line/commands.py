"""The ``seqlm`` command and its subcommands."""

from __future__ import annotations

import click

from seqlm_core.command_line.cache import cache_command
from seqlm_core.command_line.check import check_command
from seqlm_core.command_line.compress import compress_command
from seqlm_core.command_line.config import config_command
from seqlm_core.command_line.evaluate import evaluate_command
from seqlm_core.command_line.export import export_command
from seqlm_core.command_line.help import HELP_OPTIONS, GroupOfCommands
from seqlm_core.command_line.import_ import import_command
from seqlm_core.command_line.infill import infill_command
from seqlm_core.command_line.inspect import inspect_command
from seqlm_core.command_line.new_plugin import new_plugin_command
from seqlm_core.command_line.play import play_command
from seqlm_core.command_line.plot import plot_command
from seqlm_core.command_line.plugins import plugins_command
from seqlm_core.command_line.report import report_command
from seqlm_core.command_line.runs import runs_command
from seqlm_core.command_line.sample import sample_command
from seqlm_core.command_line.score import score_command
from seqlm_core.command_line.tag import tag_group
from seqlm_core.command_line.train import train_command
from seqlm_core.version import __version__


@click.group(cls=GroupOfCommands, context_settings=HELP_OPTIONS, invoke_without_command=True)
@click.version_option(__version__, prog_name="seqlm")
@click.option(
    "--traceback",
    "with_traceback",
    is_flag=True,
    help="Show the Python traceback of an error, for authors of plugins.",
)
@click.pass_context
def cli(context: click.Context, with_traceback: bool) -> None:
    """Train recurrent models of sequences: language models that write text, and models that label tokens."""
    if with_traceback:
        context.ensure_object(list).append(True)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    train_command,
    sample_command,
    infill_command,
    evaluate_command,
    score_command,
    tag_group,
    runs_command,
    config_command,
    compress_command,
    plot_command,
    report_command,
    inspect_command,
    play_command,
    export_command,
    import_command,
    plugins_command,
    cache_command,
    check_command,
    new_plugin_command,
):
    cli.add_command(command)
