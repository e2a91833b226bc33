"""Evaluates the model on the validation part at intervals, by default after each epoch, and says when it is best."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from seqlm_core.errors import NonFiniteLossError
from seqlm_core.native.training import unrounded
from seqlm_core.storage.schema import NUMBER, optional
from seqlm_core.training.extension import Extension, Record, Training
from seqlm_core.training.weight_average import WeightAverage


class Validation(Extension):
    """Adds the validation figures to the record of an epoch, and ``best``: whether the epoch is the best so far.

    Figures of averaged weights are marked with ``averaged``.

    The best epoch is that whose figures on the validation part are the best by what the task says. Without a validation
    part it has the lowest training loss of a whole epoch. All epochs are evaluated on the same text with the same
    vocabulary, so unknown tokens favour none of them.

    Args:
        average: the average of the weights, which is evaluated once there is one.

    Attributes:
        loss: the loss of the last evaluation; None before the first one and without a validation part.
    """

    name = "validation"
    state_kind: ClassVar[Any] = {"lowest": optional(NUMBER)}

    def __init__(self, average: WeightAverage) -> None:
        self.average = average
        self.loss: float | None = None
        self.lowest: float | None = None

    def on_epoch(self, training: Training, record: Record) -> None:
        with self.average.in_use(), unrounded():
            evaluation = training.task.evaluate()
        if evaluation is None:
            loss = record[f"training_{training.task.loss_name}"]
            comparable = training.is_validation_due or self.lowest is None
        else:
            comparable = True
            record.update(evaluation.to_record())
            if self.average.steps:
                record["averaged"] = True
            self.loss = evaluation.loss
            loss = training.task.selection_loss(evaluation)
        if not math.isfinite(loss):
            raise NonFiniteLossError(
                f"the validation loss is {loss} after step {record['step']}; try a lower `learning_rate`"
            )
        record["best"] = comparable and (self.lowest is None or loss < self.lowest)
        if record["best"]:
            self.lowest = loss

    def state(self) -> dict[str, Any]:
        return {"lowest": self.lowest}

    def restore(self, state: dict[str, Any]) -> None:
        self.lowest = state["lowest"]
