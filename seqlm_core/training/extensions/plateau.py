"""The schedule that divides the learning rate when the loss no longer improves."""

from __future__ import annotations

from typing import Any, ClassVar

from seqlm_core.storage.schema import COUNT
from seqlm_core.training.extension import Extension, Record, Training

DIVISOR = 4


class Plateau(Extension):
    """Divides the learning rate by :data:`DIVISOR` after each epoch without a new best.

    It must be called after the validation. Its method :meth:`factor` is the schedule of the training.
    """

    name = "plateau"
    state_kind: ClassVar[Any] = {"divisions": COUNT}

    def __init__(self) -> None:
        self.divisions = 0

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor of the learning rate from now on; it changes only between two epochs."""
        return float(DIVISOR) ** -self.divisions

    def on_epoch(self, training: Training, record: Record) -> None:
        if not record["best"]:
            self.divisions += 1

    def state(self) -> dict[str, Any]:
        return {"divisions": self.divisions}

    def restore(self, state: dict[str, Any]) -> None:
        self.divisions = state["divisions"]
