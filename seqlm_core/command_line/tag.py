"""``seqlm tag``: labels for the tokens of column files."""

from __future__ import annotations

import click

from seqlm_core.command_line.help import HELP_OPTIONS, GroupOfCommands
from seqlm_core.command_line.tag_apply import apply_command
from seqlm_core.command_line.tag_evaluate import evaluate_command
from seqlm_core.command_line.tag_train import train_command


@click.group("tag", cls=GroupOfCommands, context_settings=HELP_OPTIONS, invoke_without_command=True)
@click.pass_context
def tag_group(context: click.Context) -> None:
    """Label the tokens of sequences.

    A file has one token on each line, with further columns, and a blank line between two sequences. Columns are
    separated by tabs; if the first line has no tab, by spaces. They are numbered from 1; negative numbers count from
    the last column, which is -1.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (apply_command, evaluate_command, train_command):
    tag_group.add_command(command)
