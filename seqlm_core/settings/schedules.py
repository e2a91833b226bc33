"""Learning-rate schedules: pure functions of the step, those that come with seqlm and those of users."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, Callable

from seqlm_core.errors import PluginError
from seqlm_core.plugins.foreign import told

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


def named_schedule(settings: Mapping[str, Any]) -> tuple[dict[str, Any], Schedule | None]:
    """Return settings with a function as ``schedule`` replaced by its name, and the function, None where it is none."""
    function = settings.get("schedule")
    if not callable(function):
        return dict(settings), None
    name = getattr(function, "__name__", type(function).__name__)
    return {**settings, "schedule": OF_A_USER + name}, function


def learning_rate(base: float, schedule: str | Schedule, warmup: int, step: int, total_steps: int) -> float:
    """Return the learning rate of one step.

    Args:
        base: the highest rate.
        schedule: a name of :data:`SCHEDULES`, or a user's own function.
        warmup: steps over which the rate rises in a straight line.
        step: the step, from 0.
        total_steps: steps of the whole training.

    Raises:
        PluginError: the function fails, or returns no finite number of at least 0.
    """
    rising = min(1.0, (step + 1) / (warmup + 1))
    if not isinstance(schedule, str):
        return base * rising * _factor(schedule, step, total_steps)
    progress = max(0, step - warmup) / max(1, total_steps - warmup)
    return base * rising * SCHEDULES[schedule](min(1.0, progress))


def _factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """Return what a user's own schedule returns."""
    name = getattr(schedule, "__name__", type(schedule).__name__)
    factor = told(f"the schedule {name}", schedule)(step, total_steps)
    if not isinstance(factor, numbers.Real) or not math.isfinite(factor) or factor < 0:
        raise PluginError(
            f"the schedule {name} returns {factor!r} for step {step} of {total_steps}, and must return a finite number "
            "of at least 0"
        )
    return float(factor)
