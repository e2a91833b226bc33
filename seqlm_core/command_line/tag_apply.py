"""``seqlm tag apply``"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Sequence
from typing import Any

import click
import numpy as np

from seqlm_core.command_line.column_options import column_options
from seqlm_core.command_line.completion import complete_files, complete_runs
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.tagger import language_models_option, open_tagger, with_option
from seqlm_core.display.bar import Bar, show_no_bars

SEQUENCES_AT_A_TIME = 1000
LEAST_MARGINAL = 0.0005
"""Labels that are less probable are not among the marginals, since they are many."""


@click.command("apply")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=complete_files)
@column_options("token")
@with_option
@language_models_option
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
    columns: tuple[int, ...],
    encoding: str,
    others: tuple[str, ...],
    language_models: tuple[str, ...],
    plugin_files: tuple[str, ...],
    probabilities: bool,
    marginals: bool,
    n_best: int | None,
    as_json: bool,
) -> None:
    """Print each FILE with one more column: the label that a model predicts for each token.

    RUN is the directory of a training. FILE may hold nothing but tokens; - is standard input.
    """
    from seqlm_core.reading.progress import size_of_texts
    from seqlm_core.reading.sources import open_texts
    from seqlm_core.sequences.columns import Columns, read_sequences
    from seqlm_core.sequences.tokens import texts_of

    if sys.stdout is not None and sys.stdout.isatty():  # what is printed shows how far it is
        show_no_bars()
    load_plugin_files(plugin_files)
    tagger = open_tagger(run, others, language_models)
    read = Columns(token=token_column, further=columns)
    answers = Answers(tagger.labels, n_best, probabilities, marginals)
    with open_texts(files) as opened, Bar("labelling", size_of_texts(opened)) as bar:
        sequences = itertools.chain.from_iterable(read_sequences(path, encoding) for path in opened)
        first = True
        for number, some in enumerate(iter(lambda: list(itertools.islice(sequences, SEQUENCES_AT_A_TIME)), [])):
            tokens_of_each = [read.tokens(sequence) for sequence in some]
            if not number and len(some) < SEQUENCES_AT_A_TIME:  # these are all
                tagger.expect(sum(map(len, tokens_of_each)))
            found = tagger.label(tokens_of_each, n_best or 1, probabilities=probabilities or marginals)
            for sequence, tokens, labelling in zip(some, map(texts_of, tokens_of_each), found):
                bar.advance(sum(len(line.encode()) + 1 for line in sequence.lines) + 1)
                if as_json:
                    values = {"tokens": tokens, **answers.as_json(labelling)}
                    click.echo(json.dumps(values, ensure_ascii=False))
                    continue
                if not first:
                    click.echo()
                first = False
                # A token alone goes without the spaces around it, which a tab would make a part of it.
                lines = tokens if sequence.width == 1 else sequence.lines
                separator = "\t" if sequence.width == 1 or "\t" in lines[0] else " "
                added = answers.columns(labelling)
                click.echo("\n".join(separator.join([line, *more]) for line, more in zip(lines, added)))


@dataclasses.dataclass(frozen=True)
class Answers:
    """What is printed of how a sequence is labelled.

    Attributes:
        labels: the labels that the model knows.
        n_best: the number of label sequences that were asked for; None if none were.
        probabilities: whether the probability of each label that is predicted is printed.
        marginals: whether those of all labels are.
    """

    labels: Sequence[Any]
    n_best: int | None
    probabilities: bool
    marginals: bool

    def columns(self, labelling: Any) -> list[list[str]]:
        """Return what is added to each line."""
        added = [[str(label) for label in labels] for labels in zip(*(found.labels for found in labelling.best))]
        for place, cells in enumerate(added):
            if self.probabilities:
                cells.append(f"{self._predicted(labelling)[place]:.4f}")
            if self.marginals:
                cells += [f"{name}:{p:.4f}" for name, p in self._most_probable(labelling.probabilities[place]).items()]
        return added

    def as_json(self, labelling: Any) -> dict[str, Any]:
        """Return the values of a line of JSON."""
        values: dict[str, Any] = {"labels": labelling.best[0].labels}
        if self.probabilities:
            values["probabilities"] = self._predicted(labelling)
        if self.marginals:
            values["marginals"] = [self._most_probable(row) for row in labelling.probabilities]
        if self.n_best is not None:
            values["best"] = [found._asdict() for found in labelling.best]
        return values

    def _predicted(self, labelling: Any) -> list[float]:
        rows = zip(labelling.probabilities, labelling.best[0].labels)
        return [float(row[self.labels.index(label)]) for row, label in rows]

    def _most_probable(self, row: np.ndarray) -> dict[str, float]:
        order = np.argsort(-row, kind="stable")
        return {str(self.labels[i]): float(row[i]) for i in order if row[i] >= LEAST_MARGINAL}
