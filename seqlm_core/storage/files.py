"""The files of a run. A reader finds the whole old file or the whole new one. Only regular files are read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from seqlm_core.engine.system import IS_POSIX
from seqlm_core.errors import RunError

# The most bytes of a file that is read as a whole; far more than the vocabulary of any model needs.
LARGEST_FILE = 1 << 30
# How long a file is tried to be replaced while others have it open, where the system does not allow that: Windows.
SECONDS_TO_REPLACE = 2.0

_READING = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_NOFOLLOW", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
    _READING |= getattr(os, _flag, 0)  # no system has all of them


def is_unfinished(path: Path, names: Collection[str]) -> bool:
    """Whether ``path`` is an unfinished file with one of these names, left by a process that died."""
    written = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}", path.name)
    return written is not None and written[1] in names


def open_regular(path: Path) -> BinaryIO:
    """Open a file of a run for reading.

    Only regular files are opened: opening a FIFO would wait for a writer, a device may never end, and a link may lead
    anywhere.

    Raises:
        RunError: the file is missing, is not a regular file, or may not be read.
    """
    try:
        if not hasattr(os, "O_NOFOLLOW"):
            _check_regular(path)
        descriptor = os.open(path, _READING)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _is_a_link(path) from error
        if error.errno == errno.ENXIO:  # a socket
            raise _not_regular(path) from error
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    # The opened file is checked, not the path, which may lead to something else by now.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(path)
    return os.fdopen(descriptor, "rb")


def _check_regular(path: Path) -> None:
    """Raise :class:`RunError` unless a path is that of a regular file, where opening it would not tell."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        raise _is_a_link(path)
    if not stat.S_ISREG(mode):
        raise _not_regular(path)


def _is_a_link(path: Path) -> RunError:
    return RunError(f"{path} is a symbolic link, and a run has none; it is not followed")


def path_of(file: BinaryIO, path: Path) -> str:
    """Return a path of an open file for libraries that open it again.

    It leads to the file that is open, whatever has the file's own path by now; where the system has no such paths, it
    is the file's own path.
    """
    by_descriptor = f"/dev/fd/{file.fileno()}"
    return by_descriptor if os.path.exists(by_descriptor) else os.fspath(path)


def _not_regular(path: Path) -> RunError:
    return RunError(f"{path} is not a regular file, and a run has no others; it is not read")


def read_file(path: Path) -> bytes:
    """Return the bytes of a file of a run.

    Raises:
        RunError: the file cannot be opened (see :func:`open_regular`) or read, or it is too large for a file of a run.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_FILE:
            raise RunError(f"{path} has {size:,} bytes, and such a file of a run has at most {LARGEST_FILE:,}")
        try:
            return file.read()
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to a new file beside ``path``, and rename it to ``path``.

    Raises:
        OSError: the file cannot be written; the error names ``path``.
    """
    with replacing(path) as beside:
        beside.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a new file beside ``path`` to write within the block, and rename it to ``path`` at the end.

    Raises:
        OSError: the file cannot be written; the error names ``path``.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield beside
        flush_to_disk(beside)
        _replace(beside, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        with contextlib.suppress(OSError):  # a disk that cannot be written to refuses this too
            beside.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb" if IS_POSIX else "r+b") as file:  # Windows flushes what may be written alone
        os.fsync(file.fileno())


def _replace(source: Path, target: Path) -> None:
    """Rename a file. On Windows this fails as long as a reader has the target open, and so is tried for a while."""
    patience = time.monotonic() + SECONDS_TO_REPLACE
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if IS_POSIX or time.monotonic() > patience:
                raise
            time.sleep(0.01)


def copy_regular(path: Path, to: Path) -> None:
    """Copy a file of a run.

    Raises:
        RunError: it is missing, or cannot be read.
        OSError: the copy cannot be written; the error names ``to``.
    """
    with open_regular(path) as file, replacing(to) as beside, beside.open("wb") as copy:
        shutil.copyfileobj(file, copy)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write plain values, none of which is called ``digest``, and their digest as JSON."""
    if "digest" in values:
        raise ValueError("the digest is added here")
    # As ASCII, since file names that are not UTF-8 cannot be encoded otherwise.
    text = json.dumps({**values, "digest": json_digest(values)}, indent=1, ensure_ascii=True)
    write_atomically(path, (text + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Return the values that :func:`write_json` wrote.

    Raises:
        RunError: the file is missing, damaged or was altered.
    """
    data = read_file(path)
    try:
        values = json.loads(data)
        digest = values.pop("digest")
        right = digest == json_digest(values)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is damaged, or not a file of seqlm") from error
    if not right:
        raise RunError(f"{path} is damaged or was altered: its digest does not match")
    return dict(values)


def json_digest(values: Any) -> str:
    """Return a BLAKE2b digest of plain values, in hexadecimal."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
