"""Averages the weights over the steps: over the last ones always, or over all since the validation loss stalled."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from seqlm_core.errors import SettingError
from seqlm_core.settings.averages import EMA, TRIGGERED
from seqlm_core.settings.fields import chosen
from seqlm_core.settings.training_settings import TrainingSettings
from seqlm_core.storage.schema import COUNT, FLAG, NUMBER
from seqlm_core.training.extension import Extension, Record, Training
from seqlm_core.training.extensions.validation import Validation
from seqlm_core.training.task import Task
from seqlm_core.training.weight_average import WeightAverage

logger = logging.getLogger("seqlm")

DEFAULT_DECAY = 0.998
INTERVAL = 5
"""Validations that may be no better than an earlier one before the average begins (Merity et al. 2018)."""


class Averaging(Extension):
    """Adds the weights to an average after each step.

    It must be called after the extensions that change weights, and after the validation.

    Args:
        average: the average.
    """

    name = "average"
    state_kind: ClassVar[Any] = {"steps": COUNT}

    def __init__(self, average: WeightAverage) -> None:
        self.average = average
        self.restored_steps = 0

    def on_step(self, training: Training) -> None:
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        return {"steps": self.average.steps}

    def restore(self, state: dict[str, Any]) -> None:
        self.restored_steps = state["steps"]


class ExponentialAverage(Averaging):
    """An exponential moving average. Its decay rises to ``decay``, so that it soon forgets the first steps."""

    def __init__(self, average: WeightAverage, decay: float) -> None:
        super().__init__(average)
        self.decay = decay

    def on_step(self, training: Training) -> None:
        steps = self.average.steps
        self.average.add(1 - min(self.decay, (1 + steps) / (10 + steps)))


class TriggeredAverage(Averaging):
    """The mean of the weights of all steps since the validation loss stalled (https://arxiv.org/abs/1708.02182).

    It has stalled when it is higher than the lowest loss but for the last :data:`INTERVAL` before it.
    """

    state_kind: ClassVar[Any] = {"steps": COUNT, "has_stalled": FLAG, "losses": [NUMBER]}

    def __init__(self, average: WeightAverage, validation: Validation) -> None:
        super().__init__(average)
        self.validation = validation
        self.has_stalled = False
        self.losses: list[float] = []

    def on_step(self, training: Training) -> None:
        if self.has_stalled:
            self.average.add(1 / (self.average.steps + 1))

    def on_epoch(self, training: Training, record: Record) -> None:
        if self.has_stalled or self.validation.loss is None:
            return
        if self.losses[:-INTERVAL] and self.validation.loss > min(self.losses[:-INTERVAL]):
            self.has_stalled = True
            logger.info("the validation loss has stalled: from step %d on the weights are averaged", training.step + 1)
        self.losses.append(self.validation.loss)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "has_stalled": self.has_stalled, "losses": self.losses.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.has_stalled, self.losses = state["has_stalled"], state["losses"].copy()


def averaging(settings: TrainingSettings, average: WeightAverage, validation: Validation) -> Averaging | None:
    """Return the extension that averages as the settings say; None if nothing is averaged."""
    if settings.average == EMA:
        return ExponentialAverage(average, settings.average_decay or DEFAULT_DECAY)
    return TriggeredAverage(average, validation) if settings.average == TRIGGERED else None


def check_average_can_begin(settings: TrainingSettings, task: Task) -> None:
    """Raise :class:`SettingError` if an average waits for a stalled validation loss that there cannot be."""
    if settings.average != TRIGGERED:
        return
    if not task.has_validation:
        raise SettingError(
            "average",
            f"{TRIGGERED} begins when the validation loss stalls, and there is no validation; set a "
            f"`validation_fraction` above 0, or `average` to {EMA}",
        )
    epochs = INTERVAL + 2  # the first loss that can be higher than one that is old enough
    steps = chosen(settings.epochs) * task.steps_per_epoch
    if min(steps, settings.max_steps or steps) <= epochs * (settings.validate_every or task.steps_per_epoch):
        raise SettingError(
            "average",
            f"{TRIGGERED} begins after {epochs} epochs at the earliest, and the training ends before; set `epochs` "
            f"to at least {epochs + 1} (and `max_steps` higher), or `average` to {EMA}",
        )
