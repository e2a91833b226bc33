"""Shows the progress of a training on a terminal, in a few lines that are updated in place."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from seqlm_core.display.display import Display
from seqlm_core.display.duration import duration
from seqlm_core.display.harmless import harmless_lines
from seqlm_core.display.lines import bar_line, folded, named_line
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.history import read_history
from seqlm_core.storage.streams import BestEffortStream
from seqlm_core.training.extension import Extension, Record, Training
from seqlm_core.training.extensions.progress import ProgressLines

SAMPLE_ROWS = 4
LONG_VALIDATION = 1.0
"""A validation of so many seconds, or one of which it is not known yet, is shown as what is being done."""
SCORES = ("accuracy", "chunk_f1")
"""Figures of a validation that are shown beside the loss, by their names in the history."""


class ProgressDisplay(Extension):
    """Shows epoch, losses, speed, times and the last sample. It must be called after the history.

    Args:
        stream: the terminal.
        directory: the run directory, whose history tells what was best before the training was resumed.
    """

    def __init__(self, stream: BestEffortStream, directory: RunDirectory) -> None:
        self._stream = stream
        self._directory = directory
        self._display = Display(stream, self._lines)
        self._training: Training | None = None
        self._started = 0.0
        self._seconds_before = 0.0
        self._first_step = 0
        self._latest: Record = {}
        self._best: Record = {}
        self._sample: tuple[int, list[str]] | None = None
        self._doing = ""
        self._validated: float | None = None  # when it began
        self._seconds_of_validation = LONG_VALIDATION
        self._has_ended = False

    def on_start(self, training: Training) -> None:
        self._training = training
        self._started = time.perf_counter()
        self._first_step = training.step
        for record in read_history(self._directory.history, self._directory.run_id):
            self._note(record)
        self._seconds_before = self._latest.get("seconds", 0.0)
        self._display.show()

    def on_step(self, training: Training) -> None:
        is_validated = training.task.has_validation and (training.is_validation_due or training.stop_reason is not None)
        self._validated = time.perf_counter() if is_validated else None
        if is_validated and self._seconds_of_validation >= LONG_VALIDATION:
            self._doing = "validating"  # in which nothing else is shown
            self._display.update(now=True)
        else:
            self._display.update()

    def on_report(self, training: Training, record: Record) -> None:
        self._note(record)

    def on_epoch(self, training: Training, record: Record) -> None:
        self._note(record)
        if self._validated is not None:
            self._seconds_of_validation = time.perf_counter() - self._validated
        if self._doing:
            self._doing = ""
            self._display.update(now=True)

    def on_finish(self, training: Training) -> None:
        self._end()

    def on_error(self, training: Training, error: BaseException) -> None:
        self._end()

    def show_sample(self, step: int, text: str) -> None:
        """Show a text that was sampled after so many steps."""
        self._sample = step, harmless_lines(text, getattr(self._stream, "encoding", None) or "utf-8")

    def _note(self, record: Record) -> None:
        self._latest = {**self._latest, **record}
        if record.get("best"):
            self._best = record

    def _end(self) -> None:
        self._has_ended = True
        self._display.end(keep=True)

    def _lines(self, width: int, height: int) -> Sequence[Any]:
        training = self._training
        if training is None:
            return []
        rows = [
            bar_line(training.step, training.total_steps, width),
            *(named_line(name, value) for name, value in self._figures(training)),
        ]
        if self._sample is not None and not self._has_ended and height >= len(rows) + 2:
            step, lines = self._sample
            rows.append(named_line("sample", f"at step {step:,}"))
            rows += folded(lines, width, min(SAMPLE_ROWS, height - len(rows)))
        return rows

    def _figures(self, training: Training) -> Sequence[tuple[str, str]]:
        """Return what is known now: the name of each figure, and what there is to say of it."""
        task, steps = training.task, training.task.steps_per_epoch
        seconds = max(time.perf_counter() - self._started, 1e-9)
        done = training.step - self._first_step
        epochs = math.ceil(training.step / steps), math.ceil(training.total_steps / steps)
        loss = task.loss_name
        figures = [("epoch", f"{epochs[0]} of {epochs[1]}, step {training.step:,} of {training.total_steps:,}")]
        if self._doing:
            figures[0] = ("epoch", f"{epochs[0]} of {epochs[1]}, {self._doing}")
        if f"training_{loss}" in self._latest:
            figures.append(("training", f"{self._latest[f'training_{loss}']:.3f} {loss.replace('_', ' ')}"))
        named = [("validation", f"validation_{loss}"), *((s.replace("_", " "), f"validation_{s}") for s in SCORES)]
        for name, key in named:
            if key in self._latest:
                best = f" (best {self._best[key]:.3f}, epoch {self._best['epoch']:.3g})" if key in self._best else ""
                figures.append((name, f"{self._latest[key]:.3f}{best}"))
        if done:
            figures.append(("speed", f"{done * task.predictions_per_step / seconds:,.0f} {task.unit}/s"))
        left = (training.total_steps - training.step) * seconds / max(1, done)
        is_known = done and not self._has_ended
        figures.append(
            ("time", duration(self._seconds_before + seconds) + (f", {duration(left)} left" if is_known else ""))
        )
        return figures


def progress_on_standard_error(directory: RunDirectory) -> ProgressLines | ProgressDisplay:
    """Return what shows the progress on standard error, as it is now.

    Args:
        directory: the run directory.
    """
    stream = BestEffortStream(sys.stderr)
    return ProgressDisplay(stream, directory) if stream.can_redraw() else ProgressLines()
