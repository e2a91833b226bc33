"""``seqlm tag``: labels for the tokens of column files."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path
from typing import Any, Callable

import click

from seqlm_core.command_line.notices import be_quiet
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_flags, plugin_option
from seqlm_core.command_line.report import epochs_in_words, printed_if_possible
from seqlm_core.command_line.setting_options import given_settings, setting_options
from seqlm_core.errors import UsageError
from seqlm_core.settings.settings import SequenceSettings

SEQUENCES_AT_A_TIME = 1000


@click.group("tag", context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.pass_context
def tag_group(context: click.Context) -> None:
    """Learn to label the tokens of sequences, and label them.

    Files have one token a line with its columns, and a blank line between sequences. Columns are parted by tabs, or,
    where the first line has none, by spaces. They are counted from 1 on, or with negative numbers from the end on.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _column_options(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds options for the columns of ``kinds`` and for the encoding of files."""
    defaults = {"token": 1, "label": -1}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "--encoding", default="utf-8", show_default=True, metavar="TEXT", help="Encoding of the files."
        )(function)
        for kind in reversed(kinds):
            function = click.option(
                f"--{kind}-column", type=int, default=defaults[kind], show_default=True, metavar="N",
                help=f"Column of the {kind}s.",
            )(function)  # fmt: skip
        return function

    return decorate


@tag_group.command("train")
@click.argument("files", metavar="[FILE]...", nargs=-1)
@_column_options("token", "label")
@setting_options(SequenceSettings)
@click.option("--validation", metavar="FILE", help="Validate on this file instead of a share of the sequences.")
@click.option(
    "--out", metavar="DIRECTORY", help="Where the run goes.  [default: data/models/FILE-CELL-N, N the next free]"
)
@click.option("--overwrite", is_flag=True, help="Replace the run that is in --out, once the new one has a checkpoint.")
@click.option(
    "--init-from",
    metavar="RUN",
    help="Begin with the best weights, the vocabulary, the labels and the sizes of this run, and with a fresh "
    "optimizer.",
)
@click.option("--resume", metavar="RUN", help="Go on with this run, from its last checkpoint.")
@plugin_option
@click.option("--quiet", is_flag=True, help="Show no progress and no notices.")
@click.pass_context
def train_command(
    context: click.Context,
    files: tuple[str, ...],
    token_column: int,
    label_column: int,
    encoding: str,
    validation: str | None,
    out: str | None,
    overwrite: bool,
    init_from: str | None,
    resume: str | None,
    plugin_files: tuple[str, ...],
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a model that labels each token of a sequence.

    FILE has tokens and labels, or there are several; - reads standard input. The run keeps the sequences.
    """
    import seqlm_core as seqlm

    if quiet:
        be_quiet()
    load_plugin_files(plugin_files)
    given = given_settings(settings)
    if resume is not None:
        of_new_runs = ("token_column", "label_column", "encoding", "validation", "out", "overwrite", "init_from")
        sources = [context.get_parameter_source(name) for name in of_new_runs]
        if files or any(source != click.core.ParameterSource.DEFAULT for source in sources):
            raise UsageError("--resume goes on with a run's own sequences, in its own directory; name no others")
        seqlm.SequenceRun(resume)  # raises where the run is of another kind
        run = seqlm.resume(resume, quiet=quiet, **given)
    elif not files:
        raise UsageError("name a file to train on, with a token and its label on each line, or - for standard input")
    elif overwrite and out is None:
        raise UsageError("--overwrite needs --out, which names the run to replace")
    else:
        from seqlm_core.reading.sources import open_groups, path_list, text_name

        model = seqlm.SequenceModel("tokens", "labels", **given)
        with open_groups(files, path_list(validation)) as groups:
            examples, held_out = (
                [
                    example
                    for path in paths
                    for example in seqlm.read_columns(path, token_column, label_column, encoding)
                ]
                for paths in groups
            )
            name = text_name(files[0])
        run = model.train(
            examples,
            held_out if validation is not None else None,
            name=name,
            out=out,
            overwrite=overwrite,
            init_from=init_from,
            quiet=quiet,
        )
    with printed_if_possible():
        _report(run)


@tag_group.command("apply")
@click.argument("run", metavar="RUN")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_column_options("token")
@plugin_option
def apply_command(
    run: str, files: tuple[str, ...], token_column: int, encoding: str, plugin_files: tuple[str, ...]
) -> None:
    """Print each FILE with a further column: the label that RUN, the directory of a training, predicts.

    A file may have nothing but tokens; - reads standard input.
    """
    from seqlm_core.sequences.columns import Columns, read_sequences

    load_plugin_files(plugin_files)
    tagger = _tagger(run)
    columns = Columns(token=token_column)
    from seqlm_core.reading.sources import open_texts

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


@tag_group.command("evaluate")
@click.argument("run", metavar="RUN")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_column_options("token", "label")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate_command(
    run: str,
    files: tuple[str, ...],
    token_column: int,
    label_column: int,
    encoding: str,
    plugin_files: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print how well RUN, the directory of a training, labels the tokens of the FILEs, taken together."""
    import seqlm_core as seqlm

    load_plugin_files(plugin_files)
    tagger = _tagger(run)
    from seqlm_core.reading.sources import open_texts

    with open_texts(files) as opened:
        examples = [
            example for path in opened for example in seqlm.read_columns(path, token_column, label_column, encoding)
        ]
    evaluation = tagger.evaluate(examples)
    if as_json:
        click.echo(json.dumps(evaluation.to_json(), indent=2))
        return
    click.echo(f"accuracy         {evaluation.accuracy:.4f} of {evaluation.predictions:,} labels")
    click.echo(f"loss             {evaluation.nats_per_label:.4f} nats per label")
    click.echo(f"unknown tokens   {evaluation.unknown_tokens:,}")
    if evaluation.unknown_labels:
        click.echo(f"unknown labels   {evaluation.unknown_labels:,}, counted as wrong; not in the loss")
    click.echo()
    _print_scores("label", {str(label): score for label, score in evaluation.labels.items()})
    if evaluation.chunks is not None:
        click.echo()
        _print_scores("chunk", {**evaluation.chunks.types, "all chunks": evaluation.chunks})


def _tagger(run: str) -> Any:
    """Return the run; raise :class:`UsageError` if it does not label tokens."""
    import seqlm_core as seqlm

    tagger = seqlm.SequenceRun(Path(run))
    kinds = tagger.architecture.inputs, tagger.architecture.outputs
    if kinds != ("tokens", "labels"):
        raise UsageError(f"{run} maps {kinds[0]} to {kinds[1]}, and a run that maps tokens to labels is needed")
    return tagger


def _print_scores(kind: str, scores: dict[str, Any]) -> None:
    width = max(len(kind), *map(len, scores))
    click.echo(f"{kind:<{width}}  precision  recall      f1  support")
    for name, score in scores.items():
        click.echo(f"{name:<{width}}  {score.precision:9.4f}  {score.recall:6.4f}  {score.f1:6.4f}  {score.support:7,}")


def _report(run: Any) -> None:
    """Print the figures of the best epoch, and what to do next."""
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    best = next((record for record in reversed(epochs) if record["best"]), None)
    if best is None:  # interrupted before there was any epoch, and resumed to no more
        return
    click.echo(f"best epoch   {epochs_in_words(best['epoch'])} of {epochs_in_words(epochs[-1]['epoch'])}")
    for part in ("training", "validation"):
        figures = {name[len(part) + 1 :]: value for name, value in best.items() if name.startswith(f"{part}_")}
        if figures:
            words = ", ".join(f"{value:.4f} {name.replace('_', ' ')}" for name, value in figures.items())
            click.echo(f"{part:<12} {words}")
    click.echo(f"time         {epochs[-1]['seconds']:.1f} s")
    click.echo(f"run          {run.path}")
    if run.architecture.outputs == "labels":
        click.echo(
            f"apply it     seqlm tag apply {shlex.quote(str(run.path))} FILE{plugin_flags(run.config['plugins'])}"
        )
