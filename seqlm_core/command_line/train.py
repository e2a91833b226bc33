"""``seqlm train``"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from typing import Any

import click

from seqlm_core.command_line.completion import complete_files
from seqlm_core.command_line.config_file import TrainingCommand
from seqlm_core.command_line.notices import be_quiet
from seqlm_core.command_line.plugin_files import load_plugin_files
from seqlm_core.command_line.printed_report import print_best_epoch, printed_if_possible
from seqlm_core.command_line.setting_options import given_settings
from seqlm_core.command_line.training_options import check_new_run, check_nothing_new, training_options
from seqlm_core.command_line.workers import check_alone, train_with_workers
from seqlm_core.engine.memory import give_back_freed_memory
from seqlm_core.errors import RunError, one_line
from seqlm_core.reading.unknown import percent
from seqlm_core.settings.settings import LanguageSettings

SAMPLE_LENGTH = 400


@click.command("train", cls=TrainingCommand, settings=LanguageSettings)
@click.argument("files", metavar="[FILE]...", nargs=-1, shell_complete=complete_files)
@training_options(LanguageSettings)
@click.pass_context
def train_command(
    context: click.Context,
    files: tuple[str, ...],
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
    **settings: Any,
) -> None:
    """Train a language model on a text.

    FILE is a text file, or a folder of text files; several are read as one text, and - is standard input. Without FILE
    the command reads data/input.txt, or the sample text of seqlm if there is no such file.
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
        check_nothing_new(context)
        seqlm.LanguageRun(resume)  # raises where the run is of another kind
        run = seqlm.resume(resume, quiet=quiet, kvstore=kvstore, **given)
    else:
        check_new_run(out, overwrite)
        run = seqlm.train(
            list(files) or None,
            validation=list(validation) or None,
            out=out,
            overwrite=overwrite,
            init_from=init_from,
            quiet=quiet,
            kvstore=kvstore,
            **given,
        )
    give_back_freed_memory()
    with printed_if_possible():
        _print_sample(seqlm.LanguageRun(run.path))  # another object, with which its weights are freed
        print_best_epoch(run, _figures, f"sample it    seqlm sample {shlex.quote(str(run.path))}")


def _print_sample(run: Any) -> None:
    try:
        sample = run.sample(length=SAMPLE_LENGTH, seed=run.settings.seed).strip()
    except RunError:  # nothing can be done with the run
        raise
    except Exception as error:  # the figures are there all the same
        logging.getLogger("seqlm").warning("no text could be sampled: %s", one_line(error))
    else:
        click.echo(sample)
        click.echo()


def _figures(run: Any, best: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the figures of an epoch, each with its name."""
    unknown = run.config.get("training_unknown_tokens", 0)  # runs of before do not tell
    share = unknown / max(1, run.config["training_tokens"] - 1)
    note = f" ({percent(share)} of the tokens are unknown)" if share else ""
    yield "training", f"{best['training_nats_per_token']:.4f} nats per token{note}"
    if "validation_nats_per_token" in best:
        share = best.get("validation_unknown_share", 0)  # runs of before do not tell
        told = f"{best['validation_nats_per_token']:.4f} nats per token"
        if "validation_bits_per_character" in best:
            told += f", {best['validation_bits_per_character']:.4f} bits per character"
            told += f" (not comparable: {percent(share)} of the tokens are unknown)" if share else ""
        else:
            told += f" (bits per character withheld: {percent(share)} of the tokens are unknown)"
        yield "validation", told
    if "both_sides_nats_per_token" in best:
        yield "both sides", f"{best['both_sides_nats_per_token']:.4f} nats per token"
