"""Tells the progress of a training in plain lines, for files, pipes and terminals that cannot do more."""

from __future__ import annotations

import math
import sys
import time

from seqlm_core.display.duration import duration
from seqlm_core.storage.streams import BestEffortStream
from seqlm_core.training.extension import Extension, Record, Training

SECONDS_BETWEEN_LINES = 5.0


class ProgressLines(Extension):
    """Writes loss, speed and the time left to standard error. Text that cannot be written is dropped."""

    def __init__(self) -> None:
        self._stream = BestEffortStream(sys.stderr)
        self._validation: float | None = None
        self._started = 0.0
        self._first_step = 0
        self._last_line = 0.0

    def on_start(self, training: Training) -> None:
        self._started = time.perf_counter()
        self._first_step = training.step

    def on_report(self, training: Training, record: Record) -> None:
        self._tell(training, record)

    def on_epoch(self, training: Training, record: Record) -> None:
        self._validation = record.get(f"validation_{training.task.loss_name}", self._validation)
        self._tell(training, record)

    def show_sample(self, step: int, text: str) -> None:
        """Show a text that was sampled after so many steps."""
        self._write(f"--- sample at step {step} ---\n{text}\n---")

    def _tell(self, training: Training, record: Record) -> None:
        now = time.perf_counter()
        if now - self._last_line < SECONDS_BETWEEN_LINES and training.stop_reason is None:
            return
        self._last_line = now
        figures = [f"loss {record[f'training_{training.task.loss_name}']:.3f}"]
        if self._validation is not None:
            figures.append(f"validation {self._validation:.3f}")
        steps = training.task.steps_per_epoch
        epoch = f"epoch {math.ceil(training.step / steps)}/{math.ceil(training.total_steps / steps)}"
        done = training.step - self._first_step
        seconds = max(now - self._started, 1e-9)
        speed = done * training.task.predictions_per_step / seconds
        left = (training.total_steps - training.step) * seconds / max(1, done)
        loss_in_words = training.task.loss_name.replace("_", " ")
        self._write(
            f"{epoch}, step {training.step}/{training.total_steps}: {', '.join(figures)} {loss_in_words}, "
            f"{speed:,.0f} {training.task.unit}/s, {duration(left)} left"
        )

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
