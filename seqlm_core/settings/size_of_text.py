"""Settings of a language model's training that are chosen from the size of its text, where a user leaves them open.

The figures that decided are in docs/command-line.md, "Chosen from the size of the text".
"""

from __future__ import annotations

import math
from typing import Any

from seqlm_core.settings.settings import LanguageSettings

MOST_EPOCHS, MOST_EPOCHS_OF_WORDS = 20, 8
TOKENS_IN_ALL = 60_000_000
"""The most tokens to read in all epochs, if that makes one epoch or more."""

SMALL, LARGE = 25_000, 5_000_000
"""Below, and from this number of tokens on, a text is small or large."""

FEW_TIMES = 50
"""Where tokens occur fewer times than this on average, as words do, most weights are those of rare tokens."""


EPOCHS_TO_FORGET = 2
"""In how many epochs a weight of words that nothing renews falls to 1/e of what it was."""


def chosen_for(settings: LanguageSettings, tokens: int, entries: int, learning_rate: float) -> dict[str, Any]:
    """Return the values of those settings that are left open.

    Args:
        settings: the settings.
        tokens: the number of tokens to train on.
        entries: the number of entries of the vocabulary.
        learning_rate: the highest learning rate.
    """
    of_words = tokens < FEW_TIMES * entries
    small_rate = 0.6 if of_words else 0.7
    batch_size = settings.batch_size or (8 if tokens < SMALL else 32)
    steps_to_forget = EPOCHS_TO_FORGET * tokens / (batch_size * settings.sequence_length)
    most_epochs = MOST_EPOCHS_OF_WORDS if of_words else MOST_EPOCHS
    chosen = {
        "epochs": min(most_epochs, math.ceil(TOKENS_IN_ALL / tokens)),
        "batch_size": batch_size,
        "dropout": small_rate if of_words or tokens < SMALL else 0.4 if tokens < LARGE else 0.1,
        "weight_decay": float(f"{1 / (steps_to_forget * learning_rate):.2g}") if of_words else 0.0,
    }
    return {name: value for name, value in chosen.items() if getattr(settings, name) is None}
