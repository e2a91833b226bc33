"""The learning rate of a step: a warm-up, and then a schedule."""

from __future__ import annotations

import math
import numbers

from seqlm_core.errors import PluginError
from seqlm_core.plugins.foreign import guarded
from seqlm_core.settings.schedules import SCHEDULES, Schedule


def learning_rate(base: float, schedule: str | Schedule, warmup: int, step: int, total_steps: int) -> float:
    """Return the learning rate of one step.

    Args:
        base: the highest learning rate.
        schedule: a name in :data:`SCHEDULES`, or a function of the step and the number of all steps.
        warmup: number of steps in which the rate rises linearly.
        step: the step; the first step is 0.
        total_steps: number of steps in the whole training.

    Raises:
        PluginError: the user's function fails, or does not return a finite number of at least 0.
    """
    rising = min(1.0, (step + 1) / (warmup + 1))
    if not isinstance(schedule, str):
        return base * rising * _factor(schedule, step, total_steps)
    progress = max(0, step - warmup) / max(1, total_steps - warmup)
    return base * rising * SCHEDULES[schedule](min(1.0, progress))


def _factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """Return the factor that a user's schedule returns, after checking it."""
    name = getattr(schedule, "__name__", type(schedule).__name__)
    factor = guarded(f"the schedule {name}", schedule)(step, total_steps)
    if not isinstance(factor, numbers.Real) or not math.isfinite(factor) or factor < 0:
        raise PluginError(
            f"the schedule {name} returns {factor!r} for step {step} of {total_steps}, and must return a finite number "
            "of at least 0"
        )
    return float(factor)
