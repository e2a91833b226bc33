"""Shows the progress of a training: as a bar on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from tqdm import tqdm

from seqlm_core.storage.streams import BestEffortStream
from seqlm_core.training.extension import Extension, Record, Training

SECONDS_BETWEEN_LINES = 5.0


class Progress(Extension):
    """Writes loss, speed and the time left to standard error. Text that cannot be written is dropped."""

    def __init__(self) -> None:
        self._stream = BestEffortStream(sys.stderr)
        self._bar: tqdm[Any] | None = None
        self._loss: float | None = None
        self._validation: float | None = None
        self._started = 0.0
        self._first_step = 0
        self._last_line = 0.0

    def on_start(self, training: Training) -> None:
        self._started = time.perf_counter()
        self._first_step = training.step
        if self._stream.has_columns():
            self._bar = tqdm(
                total=training.total_steps * training.task.predictions_per_step,
                initial=training.step * training.task.predictions_per_step,
                unit=f" {training.task.unit}",
                unit_scale=True,
                dynamic_ncols=True,
                file=self._stream,
            )

    def on_step(self, training: Training) -> None:
        if self._bar is not None:
            self._bar.update(training.task.predictions_per_step)

    def on_report(self, training: Training, record: Record) -> None:
        self._loss = record[f"training_{training.task.loss_name}"]
        self._show(training)

    def on_epoch(self, training: Training, record: Record) -> None:
        self._loss = record[f"training_{training.task.loss_name}"]
        self._validation = record.get(f"validation_{training.task.loss_name}", self._validation)
        self._show(training)

    def on_finish(self, training: Training) -> None:
        self._close()

    def on_error(self, training: Training, error: BaseException) -> None:
        self._close()

    def message(self, text: str) -> None:
        """Write a text above the bar, or as a line if there is no bar."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def _show(self, training: Training) -> None:
        figures = [f"loss {self._loss:.3f}"] if self._loss is not None else []
        if self._validation is not None:
            figures.append(f"validation {self._validation:.3f}")
        steps = training.task.steps_per_epoch
        epoch = f"epoch {math.ceil(training.step / steps)}/{math.ceil(training.total_steps / steps)}"
        if self._bar is not None:
            self._bar.set_description(epoch, refresh=False)
            self._bar.set_postfix_str(", ".join(figures))
            return
        now = time.perf_counter()
        if now - self._last_line < SECONDS_BETWEEN_LINES and training.stop_reason is None:
            return
        self._last_line = now
        done = training.step - self._first_step
        seconds = max(now - self._started, 1e-9)
        speed = done * training.task.predictions_per_step / seconds
        left = (training.total_steps - training.step) * seconds / max(1, done)
        loss_in_words = training.task.loss_name.replace("_", " ")
        self.message(
            f"{epoch}, step {training.step}/{training.total_steps}: {', '.join(figures)} {loss_in_words}, "
            f"{speed:,.0f} {training.task.unit}/s, {_duration(left)} left"
        )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
