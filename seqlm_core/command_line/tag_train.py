"""``seqlm tag train``"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from seqlm_core.command_line.column_options import column_options
from seqlm_core.command_line.completion import complete_files, complete_runs
from seqlm_core.command_line.config_file import TrainingCommand
from seqlm_core.command_line.help import GroupedOption
from seqlm_core.command_line.notices import be_quiet
from seqlm_core.command_line.plugin_files import load_plugin_files
from seqlm_core.command_line.printed_report import print_best_epoch, printed_if_possible
from seqlm_core.command_line.setting_options import given_settings
from seqlm_core.command_line.training_options import check_new_run, check_nothing_new, training_options
from seqlm_core.command_line.workers import check_alone, train_with_workers
from seqlm_core.errors import UsageError
from seqlm_core.settings.settings import SequenceSettings

if TYPE_CHECKING:
    from seqlm_core.reading.text import TextFile


@click.command("train", cls=TrainingCommand, settings=SequenceSettings)
@click.argument("files", metavar="[FILE]...", nargs=-1, shell_complete=complete_files)
@column_options("token", "label")
@click.option(
    "--vectors",
    metavar="FILE",
    shell_complete=complete_files,
    cls=GroupedOption,
    group="model",
    help="Pre-trained vectors of tokens, in the text format of word2vec and GloVe, which the model reads too.",
)
@click.option(
    "--language-model",
    metavar="RUN",
    shell_complete=complete_runs,
    cls=GroupedOption,
    group="model",
    help="A language model of characters or words, whose states at the borders of each token the model reads too. "
    "With --resume, where it is now.",
)
@training_options(SequenceSettings)
@click.pass_context
def train_command(
    context: click.Context,
    files: tuple[str, ...],
    token_column: int,
    label_column: int,
    columns: tuple[int, ...],
    encoding: str,
    validation: tuple[str, ...],
    out: str | None,
    overwrite: bool,
    init_from: str | None,
    resume: str | None,
    plugin_files: tuple[str, ...],
    quiet: bool,
    workers: int,
    restarts: int,
    kvstore: str | None,
    vectors: str | None,
    language_model: str | None,
    **settings: Any,
) -> None:
    """Train a model that labels each token of a sequence.

    FILE holds sequences of tokens with their labels; several files may be given, and - is standard input. The run keeps
    a copy of the sequences.
    """
    import seqlm_core as seqlm

    if workers > 1:
        context.exit(train_with_workers(context))
    check_alone(restarts)
    if quiet:
        be_quiet()
    load_plugin_files(plugin_files)
    given = given_settings(settings)
    if resume is not None:
        check_nothing_new(context, ("token_column", "label_column", "columns", "encoding", "vectors"))
        seqlm.SequenceRun(resume)  # raises where the run is of another kind
        run = seqlm.resume(resume, quiet=quiet, kvstore=kvstore, language_model=language_model, **given)
    elif not files:
        raise UsageError("name a file to train on, with a token and its label on each line, or - for standard input")
    else:
        check_new_run(out, overwrite)
        from seqlm_core.reading.sources import open_groups, text_name

        model = seqlm.SequenceModel("tokens", "labels", **given)
        with open_groups(files, validation) as groups:
            examples, held_out = (
                [
                    example
                    for path in paths
                    for example in seqlm.read_columns(path, token_column, label_column, encoding, columns)
                ]
                for paths in groups
            )
            name = text_name(files[0])
            read_from = _record(groups, token_column, label_column, columns, encoding)
        run = model.train(
            examples,
            held_out if validation else None,
            name=name,
            out=out,
            overwrite=overwrite,
            init_from=init_from,
            quiet=quiet,
            kvstore=kvstore,
            vectors=vectors,
            language_model=language_model,
            read_from=read_from,
        )
    with printed_if_possible():
        use = f"apply it     seqlm tag apply {shlex.quote(str(run.path))} FILE"
        print_best_epoch(run, _figures, use if run.architecture.outputs == "labels" else None)


def _record(
    groups: Sequence[Sequence[TextFile]], token_column: int, label_column: int, columns: Sequence[int], encoding: str
) -> dict[str, Any] | None:
    """Return what the run records of the column files; see :data:`READ_FROM`. None if one is standard input."""
    from seqlm_core.reading.sources import StandardInput

    if any(isinstance(file, StandardInput) for group in groups for file in group):
        return None
    training, held_out = ([str(file.path.resolve()) for file in group] for group in groups)
    return {
        "files": training,
        **({"validation": held_out} if held_out else {}),
        "token_column": token_column,
        "label_column": label_column,
        "columns": list(columns),
        "encoding": encoding,
    }


def _figures(_: Any, best: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the figures of an epoch, each with its name."""
    for part in ("training", "validation"):
        figures = {name[len(part) + 1 :]: value for name, value in best.items() if name.startswith(f"{part}_")}
        if figures:
            yield part, ", ".join(f"{value:.4f} {name.replace('_', ' ')}" for name, value in figures.items())
