"""Ends a training whose validation loss no longer improves."""

from __future__ import annotations

from typing import Any, ClassVar

from seqlm_core.storage.schema import COUNT
from seqlm_core.training.extension import Extension, Record, Training


class EarlyStopping(Extension):
    """Ends the training after ``patience`` epochs without a new best. It must be called after the validation.

    Args:
        patience: a number of epochs; 0 means that the training is never ended early.
    """

    name = "early_stopping"
    state_kind: ClassVar[Any] = {"epochs_without_best": COUNT}

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.epochs_without_best = 0

    @property
    def is_due(self) -> bool:
        """Whether the patience is used up. This also holds for a resumed run that was stopped early."""
        return 0 < self.patience <= self.epochs_without_best

    def on_epoch(self, training: Training, record: Record) -> None:
        self.epochs_without_best = 0 if record["best"] else self.epochs_without_best + 1
        if self.is_due and training.stop_reason is None:
            training.stop_reason = "no better validation loss"

    def state(self) -> dict[str, Any]:
        return {"epochs_without_best": self.epochs_without_best}

    def restore(self, state: dict[str, Any]) -> None:
        self.epochs_without_best = state["epochs_without_best"]
