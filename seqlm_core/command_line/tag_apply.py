"""``seqlm tag apply``"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import click
import numpy as np

from seqlm_core.command_line.column_options import column_options
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.tagger import open_tagger

SEQUENCES_AT_A_TIME = 1000
LEAST_MARGINAL = 0.0005
"""Labels that are less probable are not among the marginals, since they are many."""

BestLabels = list[tuple[list[str], float]]
Labelled = tuple[Any, list[str], Optional[np.ndarray], Optional[BestLabels]]
"""A sequence, its labels, the probability of each label at each place, and the best sequences of labels."""


@click.command("apply")
@click.argument("run", metavar="RUN")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@column_options("token")
@plugin_option
@click.option("--probabilities", is_flag=True, help="Add the probability of each label.")
@click.option(
    "--marginals", is_flag=True, help="Add all labels with their probabilities at each token, the most probable first."
)
@click.option(
    "--n-best", type=click.IntRange(min=1), metavar="K", help="Add the labels of the K best sequences, not of one."
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each sequence.")
def apply_command(
    run: str,
    files: tuple[str, ...],
    token_column: int,
    encoding: str,
    plugin_files: tuple[str, ...],
    probabilities: bool,
    marginals: bool,
    n_best: int | None,
    as_json: bool,
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
        for labelled in _labelled(tagger, sequences, columns, probabilities or marginals, n_best):
            sequence, labels, shares, best = labelled
            tokens = columns.tokens(sequence)
            if as_json:
                values = _as_json(tagger.labels, tokens, labels, shares, best, probabilities, marginals)
                click.echo(json.dumps(values, ensure_ascii=False))
                continue
            if not first:
                click.echo()
            first = False
            # A token alone goes without the spaces around it, which a tab would make a part of it.
            lines = tokens if sequence.width == 1 else sequence.lines
            separator = "\t" if sequence.width == 1 or "\t" in lines[0] else " "
            added = _columns(tagger.labels, labels, shares, best, probabilities, marginals)
            click.echo("\n".join(separator.join([line, *more]) for line, more in zip(lines, added)))


def _labelled(
    tagger: Any, sequences: Iterator[Any], columns: Any, with_shares: bool, n_best: int | None
) -> Iterator[Labelled]:
    while some := list(itertools.islice(sequences, SEQUENCES_AT_A_TIME)):
        tokens = [columns.tokens(sequence) for sequence in some]
        best: list[BestLabels | None] = tagger.n_best(tokens, n_best) if n_best else [None] * len(some)
        labels = tagger.predict(tokens) if not n_best else [each[0][0] for each in best if each]
        shares = tagger.probabilities(tokens) if with_shares else [None] * len(some)
        yield from zip(some, labels, shares, best)


def _columns(
    names: Sequence[str],
    labels: list[str],
    shares: np.ndarray | None,
    best: BestLabels | None,
    probabilities: bool,
    marginals: bool,
) -> Iterator[list[str]]:
    """Yield what is added to each line."""
    for place, label in enumerate(labels):
        added = [str(each[place]) for each, _ in best] if best is not None else [str(label)]
        if shares is not None and probabilities:
            added.append(f"{shares[place, names.index(label)]:.4f}")
        if shares is not None and marginals:
            added += [f"{name}:{share:.4f}" for name, share in _most_probable(names, shares[place])]
        yield added


def _most_probable(names: Sequence[str], shares: np.ndarray) -> list[tuple[str, float]]:
    order = np.argsort(-shares, kind="stable")
    return [(str(names[i]), float(shares[i])) for i in order if shares[i] >= LEAST_MARGINAL]


def _as_json(
    names: Sequence[str],
    tokens: list[str],
    labels: list[str],
    shares: np.ndarray | None,
    best: BestLabels | None,
    probabilities: bool,
    marginals: bool,
) -> dict[str, Any]:
    values: dict[str, Any] = {"tokens": tokens, "labels": labels}
    if shares is not None and probabilities:
        values["probabilities"] = [float(row[names.index(label)]) for row, label in zip(shares, labels)]
    if shares is not None and marginals:
        values["marginals"] = [dict(_most_probable(names, row)) for row in shares]
    if best is not None:
        values["best"] = [{"labels": each, "log_probability": share} for each, share in best]
    return values
