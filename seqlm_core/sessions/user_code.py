"""The user's own code in a training, which settings cannot hold: extensions and a schedule."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from seqlm_core.settings.schedules import Schedule, named_schedule
from seqlm_core.training.extension import Extension, check_extensions


@dataclasses.dataclass(frozen=True)
class UserCode:
    """The user's own code in a training.

    Attributes:
        extensions: extensions that are called besides those of seqlm.
        schedule: a function of a step and the number of all steps that returns the factor of the learning rate; None
            means the schedule that the settings name.
    """

    extensions: list[Extension] = dataclasses.field(default_factory=list)
    schedule: Schedule | None = None


def split_user_code(extensions: Sequence[Extension], settings: Mapping[str, Any]) -> tuple[UserCode, dict[str, Any]]:
    """Separate the user's own code from the settings; a schedule that is a function leaves its name in the settings.

    Raises:
        UsageError: something in ``extensions`` is no extension, or is given twice.
    """
    named, schedule = named_schedule(settings)
    return UserCode(check_extensions(extensions), schedule), named
