"""Writes the figures of a training, line by line, to ``history.jsonl``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError
from seqlm_core.files import write_atomically
from seqlm_core.training.extension import Extension, Record
from seqlm_core.training.loop import Training


class History(Extension):
    """One JSON object a line: reports of the training loss, and epochs with the validation figures.

    Adds ``seconds`` to each record, the time trained so far.

    Args:
        path: of the file. A resumed training cuts it back to what its checkpoint knows of.
    """

    name = "history"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._seconds_before = 0.0
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds trained so far, those of earlier processes included."""
        return self._seconds_before + time.perf_counter() - self._started

    def on_start(self, training: Training) -> None:
        self._started = time.perf_counter()
        kept = self.path.read_bytes().splitlines(keepends=True)[: self.lines] if self.path.exists() else []
        write_atomically(self.path, b"".join(kept))

    def on_report(self, training: Training, record: Record) -> None:
        self._append(record)

    def on_epoch(self, training: Training, record: Record) -> None:
        self._append(record)

    def state(self) -> dict[str, Any]:
        return {"lines": self.lines, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.lines, self._seconds_before = state["lines"], state["seconds"]

    def _append(self, record: Record) -> None:
        record["seconds"] = round(self.seconds, 3)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.lines += 1


def read_history(path: Path) -> list[Record]:
    """Return the records of a history, oldest first; a last line that was cut off is left out.

    Raises:
        RunError: the file is missing, or holds something else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
