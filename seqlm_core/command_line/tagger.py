"""Opens a run whose model labels tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from seqlm_core.command_line.completion import complete_runs
from seqlm_core.errors import UsageError

language_model_option = click.option(
    "--language-model",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Where the language model is now that the model reads, if it was moved.",
)


def open_tagger(run: str, language_model: str | None) -> Any:
    """Return the run; raise :class:`UsageError` if it does not label tokens."""
    import seqlm_core as seqlm

    tagger = seqlm.SequenceRun(Path(run), language_model)
    kinds = tagger.architecture.inputs, tagger.architecture.outputs
    if kinds != ("tokens", "labels"):
        raise UsageError(f"{run} maps {kinds[0]} to {kinds[1]}, and a run that maps tokens to labels is needed")
    return tagger
