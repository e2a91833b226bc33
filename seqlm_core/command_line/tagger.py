"""Opens a run whose model labels tokens."""

from __future__ import annotations

from collections.abc import Sequence
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

language_models_option = click.option(
    "--language-model",
    "language_models",
    metavar="RUN",
    multiple=True,
    shell_complete=complete_runs,
    help="Where a language model is now that is read, if it was moved. May be given more than once if --with is.",
)

with_option = click.option(
    "--with",
    "others",
    metavar="RUN",
    multiple=True,
    shell_complete=complete_runs,
    help="Label with the average of RUN and this other run. May be given more than once.",
)


def open_tagger(run: str, others: Sequence[str], language_models: Sequence[str]) -> Any:
    """Return the run, or its ensemble with others; raise :class:`UsageError` if it does not label tokens."""
    import seqlm_core as seqlm

    tagger: Any
    if others:
        tagger = seqlm.SequenceEnsemble([run, *others], language_models)
    elif len(language_models) > 1:
        raise UsageError("the model of one run reads one language model; `language_model` is given more than once")
    else:
        tagger = seqlm.SequenceRun(run, *language_models)
    kinds = tagger.architecture.inputs, tagger.architecture.outputs
    if kinds != ("tokens", "labels"):
        raise UsageError(f"{run} maps {kinds[0]} to {kinds[1]}, and a run that maps tokens to labels is needed")
    return tagger
