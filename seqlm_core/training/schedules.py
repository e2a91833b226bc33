"""Learning-rate schedules: pure functions of the step."""

from __future__ import annotations

import math
from typing import Callable

COSINE_END = 0.05
STEP_FACTOR = 0.1


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


def learning_rate(base: float, schedule: str, warmup: int, step: int, total_steps: int) -> float:
    """Return the learning rate of one step.

    Args:
        base: the highest rate.
        schedule: a name of :data:`SCHEDULES`.
        warmup: steps over which the rate rises in a straight line.
        step: the step, from 0.
        total_steps: steps of the whole training.
    """
    rising = min(1.0, (step + 1) / (warmup + 1))
    progress = max(0, step - warmup) / max(1, total_steps - warmup)
    return base * rising * SCHEDULES[schedule](min(1.0, progress))
