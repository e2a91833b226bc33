"""A lock, so that only one process writes to a directory. The system releases it when the process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from seqlm_core.errors import RunError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock the directory for this process within the block. No lock remains after the process ends, however it ends.

    Raises:
        RunError: another process holds the lock.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"another process is training into {directory}; wait for it, or name another `out`"
            ) from error
        yield
    finally:
        os.close(descriptor)
