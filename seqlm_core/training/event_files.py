"""TensorBoard's event files of a run: how they are named, found, begun and cut back.

An event file is a sequence of records: the length of an event, a check of the length, the event, a check of the event
(the TFRecord format). The package tensorboardX writes them, and knows what an event is.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from seqlm_core.errors import SettingError
from seqlm_core.storage.files import write_atomically

MARK = ".seqlm-"
"""In the names of event files it parts what TensorBoard needs from the run's identity."""
_LENGTH, _CHECK = struct.Struct("<Q"), struct.Struct("<I")


def check_event_folder(path: str | None, *, is_new: bool, overwrite: bool = False) -> None:
    """Check that a training can write event files to a folder, and make the folder.

    Args:
        path: the setting ``tensorboard``.
        is_new: whether a new run begins, whose events must not be mixed with those of another.
        overwrite: whether event files of seqlm may be replaced.

    Raises:
        SettingError: tensorboardX is not installed, the folder cannot be written to, or has the events of another run.
    """
    if not path:
        return
    if importlib.util.find_spec("tensorboardX") is None:
        raise SettingError(
            "tensorboard", "needs tensorboardX, which is not installed; pip install 'seqlm[tensorboard]' installs it"
        )
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
        names = [file.name for file in folder.iterdir() if "tfevents" in file.name]
    except OSError as error:
        raise SettingError("tensorboard", f"{path} cannot be written to: {error.strerror}") from error
    if is_new and any(MARK not in name or not overwrite for name in names):
        raise SettingError("tensorboard", f"{path} holds the events of another training; name another directory")


def new_event_file(folder: Path, run_id: str | None) -> Any:
    """Begin an event file, and return a writer of records. Files that begin later are sorted behind it."""
    from tensorboardX import RecordWriter

    name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}{_mark_of(run_id)}"
    return RecordWriter(os.fspath(folder.absolute() / name))


def remove_replaced_events(folder: Path, run_id: str | None) -> None:
    """Remove the event files of runs other than this one, which replaces them."""
    for file in folder.iterdir():
        if "tfevents" in file.name and MARK in file.name and not file.name.endswith(_mark_of(run_id)):
            file.unlink()


def cut_events_back(folder: Path, run_id: str | None, is_kept: Callable[[Any], bool]) -> bool:
    """Remove events of a run from its files, and what follows a record that was not written to its end.

    It returns whether the run has such files.

    Args:
        folder: the folder of the files.
        run_id: the run's identity.
        is_kept: whether an event stays.
    """
    from tensorboardX.proto.event_pb2 import Event

    files = [file for file in folder.iterdir() if "tfevents" in file.name and file.name.endswith(_mark_of(run_id))]
    for file in files:
        written = file.read_bytes()
        kept = b"".join(record for record, data in _records(written) if is_kept(Event.FromString(data)))
        if kept != written:
            write_atomically(file, kept)
    return bool(files)


def _mark_of(run_id: str | None) -> str:
    return f"{MARK}{(run_id or 'unnamed')[:12]}"


def _records(written: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each whole record, and the event in it."""
    begin = 0
    while begin + _LENGTH.size <= len(written):
        first = begin + _LENGTH.size + _CHECK.size
        last = first + _LENGTH.unpack_from(written, begin)[0]
        end = last + _CHECK.size
        if end > len(written):
            return
        yield written[begin:end], written[first:last]
        begin = end
