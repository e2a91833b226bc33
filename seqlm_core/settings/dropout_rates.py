"""The rates of all kinds of dropout, of which one setting gives those that a user leaves open."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

LOCKED = "locked"
PER_ELEMENT = "per-element"

SettingsT = TypeVar("SettingsT", bound=Any)

# The share of `dropout` that each rate is, chosen on validation texts: see "Regularization" in docs/command-line.md.
SHARES = {
    LOCKED: {
        "input_dropout": 0.0,
        "embedding_dropout": 0.0,
        "layer_dropout": 0.5,
        "output_dropout": 0.5,
        "recurrent_dropout": 1.0,
    },
    # What the only kind of dropout was before there were others. Runs that began with it go on with it.
    PER_ELEMENT: {
        "input_dropout": 1.0,
        "embedding_dropout": 0.0,
        "layer_dropout": 1.0,
        "output_dropout": 1.0,
        "recurrent_dropout": 0.0,
    },
}


def with_all_rates(settings: SettingsT, left_alone: Collection[str] = ()) -> SettingsT:
    """Return the settings with all rates of dropout; a rate that is left open is a share of ``dropout``.

    Args:
        settings: the settings.
        left_alone: the rates that are 0 if they are left open.
    """
    open_rates = {
        name: 0.0 if name in left_alone else round(share * (settings.dropout or 0.0), 6)
        for name, share in SHARES[settings.dropout_masks].items()
        if getattr(settings, name) is None
    }
    return settings.replace(**open_rates)
