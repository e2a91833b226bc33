"""Saves the best and the last state of a training in the run directory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import view_of
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.training.extension import SAVE, Extension, Record, Training
from seqlm_core.training.weight_average import WeightAverage


class Checkpoints(Extension):
    """Writes ``best.safetensors`` after each best epoch, and ``last.safetensors`` at intervals and at the end.

    It must be called after the extensions whose state it saves.

    Args:
        directory: the run directory.
        parameters: the model's parameters by name.
        average: the average of the weights. Once there is one, it is what is saved as the best weights.
        every: the interval of ``last.safetensors``: ``epoch``, a number of steps, or minutes such as ``10m``.
        is_new: whether the run has no checkpoint yet.
        writes: whether this worker writes. The others only tell it their part of the state.
    """

    def __init__(
        self,
        directory: RunDirectory,
        parameters: Mapping[str, Any],
        average: WeightAverage,
        every: str,
        is_new: bool,
        writes: bool,
    ) -> None:
        self.directory = directory
        self.parameters = parameters
        self.average = average
        self._steps = int(every) if every.isdigit() else 0
        self._seconds = 60 * float(every[:-1]) if every.endswith("m") else 0.0
        self._is_new = is_new
        self._writes = writes
        self._saved_step = -1
        self._saved_time = time.monotonic()
        self._closing_state: dict[str, Any] | None = None

    def on_start(self, training: Training) -> None:
        if self._is_new:  # so that the run can be resumed whenever the process dies
            self._save_last(training)
        self._saved_step = training.step

    def on_closing(self, training: Training) -> None:
        # The validation that follows is not part of the training if the run is resumed with more steps.
        self._closing_state = training.state()
        self._save_last(training)

    def on_epoch(self, training: Training, record: Record) -> None:
        if record["best"]:
            self._save_best(record)
        by_epoch = not self._steps and not self._seconds
        if self._closing_state is None and (record["best"] or by_epoch):
            self._save_last(training)

    def on_step_end(self, training: Training) -> None:
        due_by_steps = self._steps and training.step % self._steps == 0
        is_time = bool(self._seconds) and time.monotonic() - self._saved_time >= self._seconds
        due_by_time = training.agree(SAVE, is_time)
        if (due_by_steps or due_by_time) and self._saved_step != training.step:
            self._save_last(training)

    def on_finish(self, training: Training) -> None:
        if self._saved_step != training.step or self._closing_state is not None:
            self._save_last(training)

    @property
    def _weights(self) -> dict[str, np.ndarray]:
        return {name: view_of(parameter.list_data()[0]) for name, parameter in self.parameters.items()}

    def _save_best(self, record: Record) -> None:
        if not self._writes:
            return
        weights = {**self._weights, **self.average.views()}
        self.directory.save(self.directory.best, _grouped("model", weights), {"record": record})

    def _save_last(self, training: Training) -> None:
        training.collect_losses()
        of_task = training.task.state()  # which all workers make together
        if self._writes:
            arrays: dict[str, Any] = {
                **_grouped("model", self._weights),
                **_grouped("optimizer", training.updates.views()),
                **_grouped("task", of_task),
                **_grouped("average", self.average.views()),
            }
            now = training.state()
            state = {"training": self._closing_state or now, "history": now["extensions"]["history"]}
            self.directory.save(self.directory.last, arrays, state)
        self._saved_step = training.step
        self._saved_time = time.monotonic()
        if training.step > 0 and self._writes:
            self.directory.mark_step_saved()


def _grouped(group: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{group}/{name}": array for name, array in arrays.items()}
