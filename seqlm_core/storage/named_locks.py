"""Locks on names, for systems where a directory cannot be locked: Windows.

What is locked is the first byte of a file in the folder for temporary files, which stays. So nobody needs an open file
within a directory, which could not be renamed or removed then.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

try:
    import msvcrt
except ImportError:  # not Windows
    msvcrt = None  # type: ignore[assignment]

FOLDER = "seqlm-locks"


def try_to_lock(directory: Path) -> int | None:
    """Lock the name of a directory, and return what :func:`unlock` needs; None if another process holds the lock."""
    folder = Path(tempfile.gettempdir()) / FOLDER
    folder.mkdir(exist_ok=True)
    name = os.path.normcase(os.path.realpath(directory))
    path = folder / hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOINHERIT", 0))
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def unlock(lock: int) -> None:
    """Give a lock back. The system does so too when the process ends."""
    try:
        os.lseek(lock, 0, os.SEEK_SET)
        msvcrt.locking(lock, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    finally:
        os.close(lock)
