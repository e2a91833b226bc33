"""Writes the figures of a training, line by line, to ``history.jsonl``."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlm_core.errors import RunError
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.storage.files import read_file, write_atomically
from seqlm_core.storage.schema import COUNT, FLAG, NUMBER, PLAIN, TEXT, check, one_of
from seqlm_core.training.extension import Extension, Record

if TYPE_CHECKING:
    from seqlm_core.training.loop import Training


CHECK_LENGTH = 16
STATE = {"lines": COUNT, "digest": TEXT, "seconds": NUMBER}
"""What :meth:`History.state` returns."""
_RECORD = {"step": COUNT, "epoch": NUMBER, "learning_rate": NUMBER, "seconds": NUMBER, ...: PLAIN}
_RECORDS = {"report": _RECORD, "epoch": {**_RECORD, "best": FLAG}}
_FIGURES = ("training_", "validation_", "both_sides_")


class History(Extension):
    """One JSON object a line: reports of the training loss, and epochs with the validation figures.

    Adds ``seconds`` to each record, the time trained so far.

    Args:
        directory: of the run. A resumed training cuts its history back to what its checkpoint knows of.

    Raises:
        RunError: on resuming, those lines are not there any more as they were.
    """

    name = "history"
    state_kind = STATE

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.lines = 0
        self._digest = _new_digest(directory.run_id)
        self._restored_digest: str | None = None
        self._seconds_before = 0.0
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds trained so far, those of earlier processes included."""
        return self._seconds_before + time.perf_counter() - self._started

    def on_start(self, training: Training) -> None:
        self._started = time.perf_counter()
        path = self.directory.history
        lines = read_file(path).splitlines(keepends=True) if os.path.lexists(path) else []
        kept = lines[: self.lines]
        _verify(path, kept, self._digest)
        if self._restored_digest not in (None, self._digest.hexdigest()):
            raise RunError(f"{path} is damaged or was altered: it is not what the checkpoint knows of")
        write_atomically(path, b"".join(kept))

    def on_report(self, training: Training, record: Record) -> None:
        self._append(record)

    def on_epoch(self, training: Training, record: Record) -> None:
        self._append(record)

    def state(self) -> dict[str, Any]:
        return {"lines": self.lines, "digest": self._digest.hexdigest(), "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.lines, self._restored_digest = state["lines"], state["digest"]
        self._seconds_before = state["seconds"]

    def _append(self, record: Record) -> None:
        record["seconds"] = round(self.seconds, 3)
        text = json.dumps(record)
        self._digest.update(text.encode())
        line = json.dumps({**record, "check": self._digest.hexdigest()[:CHECK_LENGTH]}) + "\n"
        with self.directory.history.open("ab") as file:
            file.write(line.encode())
        self.lines += 1


def _new_digest(run_id: str | None) -> hashlib.blake2b:
    return hashlib.blake2b((run_id or "").encode(), digest_size=16)


def _verify(path: Path, lines: list[bytes], digest: hashlib.blake2b) -> list[Record]:
    """Return the records of whole lines; each line's ``check`` is the digest of all records up to it.

    Raises:
        RunError: a line is not what it was.
    """
    records: list[Record] = []
    for line in lines:
        try:
            record = dict(json.loads(line))
            written = record.pop("check")
            digest.update(json.dumps(record).encode())
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RunError(f"{path} is damaged") from error
        if written != digest.hexdigest()[:CHECK_LENGTH]:
            damaged = "is damaged or was altered" if records else "is damaged, or of another run than config.json"
            raise RunError(f"{path} {damaged}: line {len(records) + 1} does not match its check")
        try:
            check(record, {"kind": one_of(*_RECORDS)}, "the record")
            check(record, _RECORDS[record["kind"]], "the record")
            check(record, {name: NUMBER for name in record if name.startswith(_FIGURES)}, "the record")
        except ValueError as error:
            raise RunError(f"{path} is damaged: line {len(records) + 1}: {error}") from error
        records.append(record)
    return records


def read_history(path: Path, run_id: str | None, state: dict[str, Any] | None = None) -> list[Record]:
    """Return the records of a history, oldest first; a last line that was cut off is left out.

    Args:
        path: of the file.
        run_id: the run's identity; None of runs that have none.
        state: of the extension, from a checkpoint; the lines that it knows of are compared with its digest.

    Raises:
        RunError: the file is missing or damaged.
    """
    lines = read_file(path).splitlines(keepends=True)
    digest = _new_digest(run_id)
    whole = [line for line in lines if line.endswith(b"\n")]
    known = state["lines"] if state is not None else 0
    records = _verify(path, whole[:known], digest)
    if state is not None and digest.hexdigest() != state["digest"]:
        raise RunError(f"{path} is damaged or was altered: it is not what the checkpoint knows of")
    return records + _verify(path, whole[known:], digest)
