"""Learning-rate schedules: functions of the step, those that come with seqlm and those of users, and ``plateau``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Callable

COSINE_END = 0.05
STEP_FACTOR = 0.1
OF_A_USER = "function "
"""What a setting begins with that records the name of a user's own function."""

Schedule = Callable[[int, int], float]
"""A user's own: maps a step, from 0, and the number of all steps to the factor of the learning rate."""


def constant(progress: float) -> float:
    """Return 1."""
    return 1.0


def cosine(progress: float) -> float:
    """Return half a cosine wave from 1 down to :data:`COSINE_END` (Loshchilov and Hutter 2017)."""
    return COSINE_END + (1 - COSINE_END) * 0.5 * (1 + math.cos(math.pi * progress))


def step(progress: float) -> float:
    """Return 1, from half of the training on a tenth, and from three quarters on a hundredth."""
    return STEP_FACTOR ** ((progress >= 0.5) + (progress >= 0.75))


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "cosine": cosine, "step": step}
PLATEAU = "plateau"
"""The schedule that goes by the losses: see :mod:`seqlm_core.training.extensions.plateau`."""
WITHOUT_END = ("constant", PLATEAU)
"""The schedules that do not depend on the number of all steps, so that a run can be made longer."""


def named_schedule(settings: Mapping[str, Any]) -> tuple[dict[str, Any], Schedule | None]:
    """Return settings with a function as ``schedule`` replaced by its name, and the function, None where it is none."""
    function = settings.get("schedule")
    if not callable(function):
        return dict(settings), None
    name = getattr(function, "__name__", type(function).__name__)
    return {**settings, "schedule": OF_A_USER + name}, function
