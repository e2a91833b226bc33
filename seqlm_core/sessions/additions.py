"""What the user of the Python API adds to a training that settings cannot hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from seqlm_core.settings.schedules import Schedule, named_schedule
from seqlm_core.training.extension import Extension, check_extensions


@dataclasses.dataclass(frozen=True)
class Additions:
    """A user's own code in a training.

    Attributes:
        extensions: that are called beside seqlm's own.
        schedule: a function of a step and the number of all steps that returns the factor of the learning rate; None
            takes the one that the settings name.
    """

    extensions: list[Extension] = dataclasses.field(default_factory=list)
    schedule: Schedule | None = None


def split_additions(extensions: Sequence[Extension], settings: Mapping[str, Any]) -> tuple[Additions, dict[str, Any]]:
    """Return a user's own code, and the settings with the name of a function in the place of the function.

    Raises:
        UsageError: an extension is none, or is given twice.
    """
    named, schedule = named_schedule(settings)
    return Additions(check_extensions(extensions), schedule), named
