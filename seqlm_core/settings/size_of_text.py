"""Settings of a language model's training that are chosen from the size of its text, where a user leaves them open.

The figures that decided are in docs/command-line.md, "Chosen from the size of the text".
"""

from __future__ import annotations

import math
from typing import Any

from seqlm_core.settings.fields import chosen
from seqlm_core.settings.settings import LanguageSettings

TOKENS_IN_ALL = 60_000_000
"""The most tokens to read in all epochs, if that makes one epoch or more."""

SMALL, MEDIUM, LARGE = 25_000, 500_000, 5_000_000
"""Below the first number of tokens a text is small; from the second and third on it is of medium size and large."""

VALIDATIONS = 20
"""How often the model of a large text is validated in all, since its epochs are few and long."""

FEW_TIMES = 50
"""Where tokens occur fewer times than this on average, as words do, most weights are those of rare tokens."""

LARGE_VOCABULARY = 20_000
"""From so many entries on it pays to update only the embeddings that a step reads."""

EPOCHS_TO_FORGET, LEAST_STEPS_TO_FORGET = 2, 50
"""In how many epochs, and at least steps, a weight of words that nothing renews falls to 1/e of what it was."""


def chosen_for(settings: LanguageSettings, tokens: int, entries: int) -> dict[str, Any]:
    """Return the values of those settings that are left open. One that may stay open is missing.

    Args:
        settings: the settings, with a learning rate.
        tokens: the number of tokens to train on.
        entries: the number of entries of the vocabulary.
    """
    of_words = tokens < FEW_TIMES * entries
    batch_size = settings.batch_size or (8 if tokens < SMALL else 32)
    epochs = settings.epochs or min(8 if of_words else 20, math.ceil(TOKENS_IN_ALL / tokens))
    values: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "dropout": _dropout(tokens, of_words),
        "weight_decay": _weight_decay(settings, tokens / batch_size) if of_words else 0.0,
    }
    if tokens >= LARGE:
        values["validate_every"] = _validate_every(settings, epochs * tokens / batch_size)
    return {name: value for name, value in values.items() if getattr(settings, name) is None}


def _dropout(tokens: int, of_words: bool) -> float:
    if of_words:
        return 0.6 if tokens < LARGE else 0.1
    if tokens >= LARGE:
        return 0.0
    if tokens >= MEDIUM:
        return 0.2
    return 0.7 if tokens < SMALL else 0.4


def _validate_every(settings: LanguageSettings, tokens_of_a_stream_in_all: float) -> int:
    steps = tokens_of_a_stream_in_all / settings.sequence_length
    return math.ceil(min(steps, settings.max_steps or steps) / VALIDATIONS)


def _weight_decay(settings: LanguageSettings, tokens_in_a_stream: float) -> float:
    steps = max(LEAST_STEPS_TO_FORGET, EPOCHS_TO_FORGET * tokens_in_a_stream / settings.sequence_length)
    return float(f"{1 / (steps * chosen(settings.learning_rate)):.2g}")
