"""Locks on directories. The system releases them when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from seqlm_core.errors import RunError
from seqlm_core.storage.named_locks import msvcrt, try_to_lock, unlock

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

SECONDS_OF_A_LOOK = 0.2
"""How long a lock is tried again, since :func:`is_locked` of another process may hold it for a moment."""
SECONDS_BETWEEN = 0.05
"""How long to wait for a lock before it is tried again, where the system cannot wait for it."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock the directory of a run for this process within the block.

    Raises:
        RunError: another process holds the lock.
    """
    patience = time.monotonic() + SECONDS_OF_A_LOOK
    while True:
        with try_lock(directory) as got_it:
            if got_it:
                yield
                return
        if time.monotonic() > patience:
            raise RunError(f"another process is training into {directory}; wait for it, or name another `out`")
        time.sleep(0.01)


def is_locked(directory: Path) -> bool:
    """Return whether a process holds the lock of a directory; False where that cannot be known.

    It takes a shared lock for a moment, so that those who look at the same time do not see each other. Where there
    are no shared locks, it looks a second time.

    Raises:
        OSError: the directory cannot be opened.
    """
    if fcntl is None:
        if _was_free(directory):
            return False
        time.sleep(SECONDS_BETWEEN)
        return not _was_free(directory)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def try_lock(directory: Path) -> Iterator[bool]:
    """Lock a directory within the block, and say whether that was possible: no other process holds the lock."""
    if fcntl is None:
        with _named_lock(directory) as got_it:
            yield got_it
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def wait_for_lock(directory: Path, on_waiting: Callable[[], None]) -> Iterator[bool]:
    """Lock a directory within the block, and say whether it is still there: who held the lock may have renamed it.

    Args:
        directory: the directory.
        on_waiting: is called if another process holds the lock.
    """
    if fcntl is None:
        with contextlib.ExitStack() as stack:
            while not stack.enter_context(_named_lock(directory)):
                on_waiting()
                on_waiting = _ignore
                time.sleep(SECONDS_BETWEEN)
            yield directory.exists()
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield _is(descriptor, directory)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named_lock(directory: Path) -> Iterator[bool]:
    """Lock the name of a directory within the block, and say whether that was possible; True without any locks."""
    lock = None if msvcrt is None else try_to_lock(directory)
    try:
        yield lock is not None or msvcrt is None
    finally:
        if lock is not None:
            unlock(lock)


def _was_free(directory: Path) -> bool:
    with _named_lock(directory) as got_it:
        return got_it


def _ignore() -> None:
    pass


def _is(descriptor: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), directory.stat())
    except FileNotFoundError:
        return False
