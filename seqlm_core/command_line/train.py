"""``seqlm train``"""

from __future__ import annotations

import logging
import shlex
from typing import Any

import click

from seqlm_core.command_line.notices import be_quiet
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_flags, plugin_option
from seqlm_core.command_line.report import epochs_in_words, printed_if_possible
from seqlm_core.command_line.setting_options import given_settings, setting_options
from seqlm_core.errors import RunError, UsageError, one_line
from seqlm_core.reading.unknown import percent
from seqlm_core.settings.settings import LanguageSettings

SAMPLE_LENGTH = 400


@click.command("train")
@click.argument("files", metavar="[FILE]...", nargs=-1)
@setting_options(LanguageSettings)
@click.option("--validation", metavar="FILE", help="Validate on this file instead of the end of the text.")
@click.option(
    "--out", metavar="DIRECTORY", help="Where the run goes.  [default: data/models/TEXT-CELL-N, N the next free]"
)
@click.option("--overwrite", is_flag=True, help="Replace the run that is in --out, once the new one has a checkpoint.")
@click.option(
    "--init-from",
    metavar="RUN",
    help="Begin with the best weights, the vocabulary and the sizes of this run, and with a fresh optimizer.",
)
@click.option("--resume", metavar="RUN", help="Go on with this run, from its last checkpoint.")
@plugin_option
@click.option("--quiet", is_flag=True, help="Show no progress, notices, or samples during the training.")
def train_command(
    files: tuple[str, ...],
    validation: str | None,
    out: str | None,
    overwrite: bool,
    init_from: str | None,
    resume: str | None,
    plugin_files: tuple[str, ...],
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a language model on a text.

    FILE is a text file, or several that are read one after the other; - reads standard input. Without any,
    data/input.txt is read, or else the sample text that comes with seqlm.
    """
    import seqlm_core as seqlm

    if quiet:
        be_quiet()
    load_plugin_files(plugin_files)
    given = given_settings(settings)
    if resume is not None:
        if files or validation is not None or out is not None or overwrite or init_from is not None:
            raise UsageError("--resume goes on with a run's own texts, in its own directory; name no others")
        seqlm.LanguageRun(resume)  # raises where the run is of another kind
        run = seqlm.resume(resume, quiet=quiet, **given)
    elif overwrite and out is None:
        raise UsageError("--overwrite needs --out, which names the run to replace")
    else:
        run = seqlm.train(
            list(files) or None,
            validation=validation,
            out=out,
            overwrite=overwrite,
            init_from=init_from,
            quiet=quiet,
            **given,
        )
    with printed_if_possible():
        _report(run)


def _report(run: Any) -> None:
    """Print the figures of the best epoch, a sample, and what to do next."""
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    best = next((record for record in reversed(epochs) if record["best"]), None)
    try:
        sample = run.sample(length=SAMPLE_LENGTH, seed=run.settings.seed).strip()
    except RunError:  # nothing can be done with the run
        raise
    except Exception as error:  # the figures are there all the same
        logging.getLogger("seqlm").warning("no text could be sampled: %s", one_line(error))
    else:
        click.echo(sample)
        click.echo()
    if best is None:  # interrupted before there was any epoch, and resumed to no more
        return
    click.echo(f"best epoch   {epochs_in_words(best['epoch'])} of {epochs_in_words(epochs[-1]['epoch'])}")
    unknown = run.config.get("training_unknown_tokens", 0)  # runs of before do not tell
    share = unknown / max(1, run.config["training_tokens"] - 1)
    note = f" ({percent(share)} of the tokens are unknown)" if share else ""
    click.echo(f"training     {best['training_nats_per_token']:.4f} nats per token{note}")
    if "validation_nats_per_token" in best:
        share = best.get("validation_unknown_share", 0)  # runs of before do not tell
        told = f"{best['validation_nats_per_token']:.4f} nats per token"
        if "validation_bits_per_character" in best:
            told += f", {best['validation_bits_per_character']:.4f} bits per character"
            told += f" (not comparable: {percent(share)} of the tokens are unknown)" if share else ""
        else:
            told += f" (bits per character withheld: {percent(share)} of the tokens are unknown)"
        click.echo(f"validation   {told}")
    if "both_sides_nats_per_token" in best:
        click.echo(f"both sides   {best['both_sides_nats_per_token']:.4f} nats per token")
    click.echo(f"time         {epochs[-1]['seconds']:.1f} s")
    click.echo(f"run          {run.path}")
    click.echo(f"sample it    seqlm sample {shlex.quote(str(run.path))}{plugin_flags(run.config['plugins'])}")
