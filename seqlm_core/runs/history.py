"""The figures and samples of a training in ``history.jsonl``, and the check that they are complete and unchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.storage.files import read_file
from seqlm_core.storage.schema import COUNT, FLAG, NUMBER, PLAIN, TEXT, check, one_of

CHECK_LENGTH = 16
STATE = {"lines": COUNT, "digest": TEXT, "seconds": NUMBER}
"""Description of what a checkpoint records of the history."""
_RECORD = {"step": COUNT, "epoch": NUMBER, "learning_rate": NUMBER, "seconds": NUMBER, ...: PLAIN}
SAMPLE = "sample"
"""The kind of the records that hold a text that was sampled during the training."""
_RECORDS = {
    "report": _RECORD,
    "epoch": {**_RECORD, "averaged?": FLAG, "best": FLAG},
    SAMPLE: {"step": COUNT, "epoch": NUMBER, "seconds": NUMBER, "text": TEXT},
}
_FIGURES = ("training_", "validation_", "both_sides_")


def new_digest(run_id: str | None) -> hashlib.blake2b:
    """Return the digest of a run's history before its first record."""
    return hashlib.blake2b((run_id or "").encode(), digest_size=16)


def written_record(record: Mapping[str, Any], digest: hashlib.blake2b) -> bytes:
    """Return the line of a record, with its check.

    Args:
        record: the record.
        digest: the digest of all records before; it is updated.
    """
    digest.update(json.dumps(record).encode())
    return json.dumps({**record, "check": digest.hexdigest()[:CHECK_LENGTH]}).encode() + b"\n"


def verified_records(path: Path, lines: list[bytes], digest: hashlib.blake2b) -> list[dict[str, Any]]:
    """Return the records of complete lines. Each line's ``check`` is the digest of all records up to this line.

    Args:
        path: the file, for errors.
        lines: the lines, which follow those that ``digest`` has seen.
        digest: the digest of all records before; it is updated.

    Raises:
        RunError: a line is damaged or was changed.
    """
    records: list[dict[str, Any]] = []
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


def read_history(path: Path, run_id: str | None, state: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the records of a history, the oldest first, without an incomplete last line.

    Args:
        path: the file.
        run_id: the run's identity; None if it has none.
        state: what a checkpoint records of the history; the lines that were there then are compared with its digest.

    Raises:
        RunError: the file is missing or damaged.
    """
    lines = read_file(path).splitlines(keepends=True)
    digest = new_digest(run_id)
    whole = [line for line in lines if line.endswith(b"\n")]
    known = state["lines"] if state is not None else 0
    records = verified_records(path, whole[:known], digest)
    if state is not None and digest.hexdigest() != state["digest"]:
        raise RunError(f"{path} is damaged or was altered: it does not match the digest in the checkpoint")
    return records + verified_records(path, whole[known:], digest)


def records_of(directory: RunDirectory) -> list[dict[str, Any]]:
    """Return the records of a run, the oldest first.

    Raises:
        RunError: they are missing or damaged.
    """
    state = directory.load_state(directory.last) if directory.last.exists() else None
    try:
        if state is not None:
            check(state, {"history": STATE}, "its state")
    except ValueError as error:
        raise RunError(f"{directory.last} is damaged: {error}") from error
    return read_history(directory.history, directory.run_id, state and state["history"])
