"""Writes the figures and samples of a training, line by line, to ``history.jsonl``."""

from __future__ import annotations

import os
import time
from typing import Any

from seqlm_core.errors import RunError
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.history import STATE, new_digest, verified_records, written_record
from seqlm_core.storage.files import read_file, write_atomically
from seqlm_core.training.extension import Extension, Record, Training


class History(Extension):
    """Writes one JSON object in each line: reports of the training loss, validation figures of epochs, and samples.

    It adds ``seconds`` to each record, the training time so far. When a training is resumed, the history is cut back to
    the lines that the checkpoint records.

    Args:
        directory: the run directory.

    Raises:
        RunError: on resuming, these lines are damaged or were changed.
    """

    name = "history"
    state_kind = STATE

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.lines = 0
        self._digest = new_digest(directory.run_id)
        self._restored_digest: str | None = None
        self._seconds_before = 0.0
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """The training time so far in seconds, that of earlier processes included."""
        return self._seconds_before + time.perf_counter() - self._started

    def on_start(self, training: Training) -> None:
        self._started = time.perf_counter()
        path = self.directory.history
        lines = read_file(path).splitlines(keepends=True) if os.path.lexists(path) else []
        kept = lines[: self.lines]
        verified_records(path, kept, self._digest)
        if self._restored_digest not in (None, self._digest.hexdigest()):
            raise RunError(f"{path} is damaged or was altered: it does not match the digest in the checkpoint")
        write_atomically(path, b"".join(kept))

    def on_report(self, training: Training, record: Record) -> None:
        self.add(record)

    def on_epoch(self, training: Training, record: Record) -> None:
        self.add(record)

    def state(self) -> dict[str, Any]:
        return {"lines": self.lines, "digest": self._digest.hexdigest(), "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.lines, self._restored_digest = state["lines"], state["digest"]
        self._seconds_before = state["seconds"]

    def add(self, record: Record) -> None:
        """Write a record, with the training time so far added to it."""
        record["seconds"] = round(self.seconds, 3)
        line = written_record(record, self._digest)
        with self.directory.history.open("ab") as file:
            file.write(line)
        self.lines += 1
