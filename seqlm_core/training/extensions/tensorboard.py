"""Writes the figures, samples and settings of a training for TensorBoard."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from seqlm_core.errors import SettingError
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.history import SAMPLE as KEPT_SAMPLE
from seqlm_core.runs.history import read_history
from seqlm_core.training.event_files import cut_events_back, new_event_file, remove_replaced_events
from seqlm_core.training.extension import Extension, Record, Training

logger = logging.getLogger("seqlm")

SETTINGS, SAMPLE, SPEED = "settings", "sample", "{unit}_per_second"
NO_FIGURES = ("step", "epoch", "seconds")
"""Numbers in records that say when something was, which TensorBoard knows."""
SECONDS_BETWEEN_FLUSHES = 5.0


class TensorBoard(Extension):
    """Writes each record of the history as scalars, each sample as a text, and the settings as a table.

    When a training is resumed, what was written after its checkpoint is removed. It must be called after the history,
    and before checkpoints are written: what belongs to a checkpoint is on the disk when that is saved.

    Args:
        directory: the run directory.
        folder: the folder of the event files, which has been checked.
        is_new: whether the run has no checkpoint yet.
    """

    def __init__(self, directory: RunDirectory, folder: Path, is_new: bool) -> None:
        self._directory = directory
        self._folder = folder
        self._is_new = is_new
        self._writer: Any = None
        self._has_begun = False
        self._flushed = 0.0
        self._reported = (0, 0.0)  # the step of the last report, and when it was

    def on_start(self, training: Training) -> None:
        run_id = self._directory.run_id
        try:
            if self._directory.replaces is not None:
                remove_replaced_events(self._folder, run_id)
            has_events = cut_events_back(self._folder, run_id, lambda event: _is_before(event, training))
            self._writer = new_event_file(self._folder, run_id)
            self._begin(training.step)
            if not has_events:  # what was before is written if the run has only now been given a folder
                self._write_history()
            self._write_settings(training)
            self._writer.flush()
            self._has_begun = True
        except OSError as error:
            self._give_up()
            raise SettingError("tensorboard", f"{self._folder} cannot be written to: {error.strerror}") from error
        self._reported = training.step, time.perf_counter()

    def on_report(self, training: Training, record: Record) -> None:
        step, now = record["step"], time.perf_counter()
        before, then = self._reported
        self._reported = step, now
        predictions = (step - before) * training.task.predictions_per_step
        speed = predictions / max(now - then, 1e-9)
        self._write_figures({**record, SPEED.format(unit=training.task.unit): speed})

    def on_epoch(self, training: Training, record: Record) -> None:
        self._write_figures(record)

    def show_sample(self, step: int, text: str) -> None:
        """Write a text that was sampled after so many steps."""
        self._write_sample(step, text)

    def state(self) -> dict[str, Any]:
        self._flush()  # a checkpoint is being saved
        return {}

    def on_finish(self, training: Training) -> None:
        self._close()

    def on_error(self, training: Training, error: BaseException) -> None:
        path = None if self._writer is None else self._writer.path
        self._close()
        if path is not None and self._is_new and not self._directory.has_saved_steps:
            os.unlink(path)  # so that the same training can begin again

    def _begin(self, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        now = time.time()
        self._writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        if step:  # a TensorBoard that has read what was removed forgets it
            session = SessionLog(status=SessionLog.START)
            self._writer.write(Event(wall_time=now, step=step + 1, session_log=session).SerializeToString())

    def _write_settings(self, training: Training) -> None:
        settings = {name: json.dumps(value) for name, value in dataclasses.asdict(training.settings).items()}
        rows = [f"| {name} | `{value}` |" for name, value in settings.items() if "|" not in value]
        self._write_text(SETTINGS, training.step, "\n".join(["| setting | value |", "| --- | --- |", *rows]))

    def _write_history(self) -> None:
        records = read_history(self._directory.history, self._directory.run_id)
        for record in records:
            seconds_ago = records[-1]["seconds"] - record["seconds"]
            if record["kind"] == KEPT_SAMPLE:
                self._write_sample(record["step"], record["text"], seconds_ago)
            else:
                self._write_figures(record, seconds_ago)

    def _write_figures(self, record: Record, seconds_ago: float = 0.0) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        figures = {
            f"{record['kind']}/{name}": float(value)
            for name, value in record.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in NO_FIGURES
        }
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
        if values:
            self._write(record["step"], Summary(value=values), seconds_ago)

    def _write_sample(self, step: int, text: str, seconds_ago: float = 0.0) -> None:
        as_it_is = "\n".join(f"    {line}" for line in text.splitlines())  # in Markdown
        self._write_text(SAMPLE, step, as_it_is, seconds_ago)

    def _write_text(self, tag: str, step: int, text: str, seconds_ago: float = 0.0) -> None:
        from tensorboardX.summary import text as summary_of_text

        self._write(step, summary_of_text(tag, text.encode(errors="backslashreplace").decode()), seconds_ago)

    def _write(self, step: int, summary: Any, seconds_ago: float = 0.0) -> None:
        from tensorboardX.proto.event_pb2 import Event

        if self._writer is None:
            return
        try:
            event = Event(wall_time=time.time() - seconds_ago, step=step, summary=summary)
            self._writer.write(event.SerializeToString())
        except OSError as error:
            self._fail(error)
        if time.monotonic() - self._flushed > SECONDS_BETWEEN_FLUSHES:
            self._flush()

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if self._writer is not None:
            try:
                self._writer.flush()
            except OSError as error:
                self._fail(error)

    def _close(self) -> None:
        self._flush()
        self._give_up()

    def _fail(self, error: OSError) -> None:
        """Warn that nothing can be written any more, and go on without it. At the start it is an error."""
        if not self._has_begun:
            raise error
        logger.warning(
            "nothing more is written for TensorBoard to %s: %s; the training goes on", self._folder, error.strerror
        )
        self._give_up()

    def _give_up(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):  # of what could not be written before
                writer.close()


def _is_before(event: Any, training: Training) -> bool:
    """Whether an event, which was written earlier, belongs to the steps that a training has done when it is resumed.

    At the end of a training within an epoch, its figures come after the checkpoint that it goes on from. The settings
    are written again.
    """
    if event.step != training.step:
        return bool(event.step < training.step)
    again = (SETTINGS,) if training.is_validation_due else (SETTINGS, "epoch/")
    return not any(value.tag.startswith(again) for value in event.summary.value)
