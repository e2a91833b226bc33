"""``seqlm tag apply``"""

from __future__ import annotations

import itertools

import click

from seqlm_core.command_line.column_options import column_options
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.tagger import open_tagger

SEQUENCES_AT_A_TIME = 1000


@click.command("apply")
@click.argument("run", metavar="RUN")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@column_options("token")
@plugin_option
def apply_command(
    run: str, files: tuple[str, ...], token_column: int, encoding: str, plugin_files: tuple[str, ...]
) -> None:
    """Print each FILE with one more column: the label that a model predicts for each token.

    RUN is the directory of a training. FILE may hold nothing but tokens; - is standard input.
    """
    from seqlm_core.reading.sources import open_texts
    from seqlm_core.sequences.columns import Columns, read_sequences

    load_plugin_files(plugin_files)
    tagger = open_tagger(run)
    columns = Columns(token=token_column)
    with open_texts(files) as opened:
        sequences = itertools.chain.from_iterable(read_sequences(path, encoding) for path in opened)
        first = True
        while some := list(itertools.islice(sequences, SEQUENCES_AT_A_TIME)):
            predicted = tagger.predict([columns.tokens(sequence) for sequence in some])
            for sequence, labels in zip(some, predicted):
                if not first:
                    click.echo()
                first = False
                # A token alone goes without the spaces around it, which a tab would make a part of it.
                lines = columns.tokens(sequence) if sequence.width == 1 else sequence.lines
                separator = "\t" if sequence.width == 1 or "\t" in lines[0] else " "
                click.echo("\n".join(f"{line}{separator}{label}" for line, label in zip(lines, labels)))
