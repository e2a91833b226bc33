"""``seqlm tag evaluate``"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import click

from seqlm_core.command_line.column_options import column_options
from seqlm_core.command_line.completion import complete_files, complete_runs
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.tagger import language_models_option, open_tagger, with_option


@click.command("evaluate")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=complete_files)
@column_options("token", "label")
@with_option
@language_models_option
@plugin_option
@click.option("--confusion", is_flag=True, help="Print how often each label is predicted for each true one.")
@click.option(
    "--confusion-picture",
    metavar="FILE",
    shell_complete=complete_files,
    help="Write the same as a picture, a PNG file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate_command(
    run: str,
    files: tuple[str, ...],
    token_column: int,
    label_column: int,
    columns: tuple[int, ...],
    encoding: str,
    others: tuple[str, ...],
    language_models: tuple[str, ...],
    plugin_files: tuple[str, ...],
    confusion: bool,
    confusion_picture: str | None,
    as_json: bool,
) -> None:
    """Print how well a model labels the tokens of files.

    RUN is the directory of a training. The figures are those of all FILEs together; - is standard input.
    """
    from seqlm_core.reading.sources import open_texts
    from seqlm_core.sequences.columns import Columns, read_sequences

    load_plugin_files(plugin_files)
    tagger = open_tagger(run, others, language_models)
    read, known = Columns(token_column, label_column, columns), set(tagger.labels)
    examples, first_unknown = [], None
    with open_texts(files) as opened:
        for sequence in itertools.chain.from_iterable(read_sequences(path, encoding) for path in opened):
            examples.append(read.example(sequence))
            for line, label in enumerate(examples[-1][1], start=sequence.first_line):
                if first_unknown is None and label not in known:
                    first_unknown = f"{label!r} in {sequence.path}, line {line}"
    tagger.expect(sum(len(labels) for _, labels in examples))
    evaluation = tagger.evaluate(examples)
    if confusion_picture is not None:
        from seqlm_core.evaluation.confusion_picture import draw_confusion

        draw_confusion(evaluation.confusion, Path(confusion_picture))
    if as_json:
        click.echo(json.dumps(evaluation.to_json(), indent=2))
        return
    click.echo(f"accuracy         {evaluation.accuracy:.4f} of {evaluation.predictions:,} labels")
    click.echo(f"loss             {evaluation.nats_per_label:.4f} nats per label")
    click.echo(f"unknown tokens   {evaluation.unknown_tokens:,}")
    if evaluation.unknown_labels:
        click.echo(f"unknown labels   {evaluation.unknown_labels:,}, counted as wrong; not in the loss")
        click.echo(f"first of them    {first_unknown}")
    click.echo()
    _print_scores("label", {str(label): score for label, score in evaluation.labels.items()})
    if evaluation.chunks is not None:
        click.echo()
        _print_scores("chunk", {**evaluation.chunks.types, "all chunks": evaluation.chunks})
    if evaluation.scheme_breaks is not None:
        click.echo()
        _print_breaks(evaluation.scheme_breaks)
    if confusion:
        click.echo()
        _print_confusion(evaluation.confusion)


def _print_breaks(breaks: dict[str, int]) -> None:
    total = sum(breaks.values())
    click.echo(f"{total:,} places where the predicted labels break the scheme of chunks" + (":" if breaks else ""))
    for name, count in breaks.items():
        click.echo(f"{count:>7,}  {name}")


def _print_confusion(confusion: dict[Any, dict[Any, int]]) -> None:
    """Print a row for each true label, and a column for each label that is predicted."""
    predicted = {str(label) for row in confusion.values() for label in row}
    columns = [str(label) for label in confusion if str(label) in predicted]
    columns += sorted(predicted - set(columns))
    rows = [["true \\ predicted", *columns]]
    for true, row in confusion.items():
        counts = {str(label): count for label, count in row.items()}
        rows.append([str(true), *(f"{counts[name]:,}" if name in counts else "." for name in columns)])
    widths = [max(map(len, cells)) for cells in zip(*rows)]
    for first, *cells in rows:
        click.echo("  ".join([f"{first:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(cells, widths[1:]))]))


def _print_scores(kind: str, scores: dict[str, Any]) -> None:
    width = max(len(kind), *map(len, scores))
    click.echo(f"{kind:<{width}}  precision  recall      f1  support")
    for name, score in scores.items():
        click.echo(f"{name:<{width}}  {score.precision:9.4f}  {score.recall:6.4f}  {score.f1:6.4f}  {score.support:7,}")
