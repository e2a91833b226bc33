"""A folder of things that took time to make and can be made again, kept for later processes.

An entry is a folder named by its key. It is written beside, and renamed when it is complete. So whoever finds an entry
finds a whole one, and what a process that died has left is known by its name. Processes that need the same entry at the
same time wait for the one that began first. When the entries take more room than is allowed, those that were unused for
longest are removed. A process that reads from an entry goes on when the entry is removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shutil
from pathlib import Path
from typing import Any, Callable

from seqlm_core.errors import RunError
from seqlm_core.storage.files import flush_to_disk, read_json, write_json
from seqlm_core.storage.locking import try_lock, wait_for_lock

logger = logging.getLogger("seqlm")

DESCRIPTION = "entry.json"
"""The file of an entry that says what it is. It is written last, and its time is that of the last use."""

FACTS = "facts"
MOST_FACTS = 1000


@dataclasses.dataclass(frozen=True)
class CacheEntry:
    """An entry of a cache.

    Attributes:
        path: its folder.
        description: what was written of it.
        size: the bytes of all its files.
        used: when it was used last, in seconds since the epoch.
    """

    path: Path
    description: dict[str, Any]
    size: int
    used: float


class Cache:
    """A folder of entries.

    Args:
        folder: the folder, which need not exist.
        limit: the most bytes of all entries.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit

    def entries(self) -> list[CacheEntry]:
        """Return the complete entries, those used last first."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                entry = None if path.name.startswith(".") or path.name == FACTS else _entry(path)
                if entry is not None:
                    found.append(entry)
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def find(self, key: str) -> CacheEntry | None:
        """Return an entry, whose last use is now; None if there is none, or if it is damaged."""
        with contextlib.suppress(OSError):
            os.utime(self.folder / key / DESCRIPTION)
        return _entry(self.folder / key)

    def find_or_make(self, key: str, make: Callable[[Path], dict[str, Any]], waiting: str = "") -> CacheEntry:
        """Return an entry, after making it if there is none.

        Args:
            key: its key, which has to name everything that the entry depends on.
            make: writes the files of the entry into a folder, and returns its description.
            waiting: a message for the case that another process is making the entry, and has to be waited for.

        Raises:
            OSError: it cannot be written. Then nothing of it remains.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            entry = self.find(key)
            if entry is not None:
                return entry
            beside = self.folder / f".{key}"
            beside.mkdir(exist_ok=True)
            with wait_for_lock(beside, lambda: logger.info(waiting)) as still_there:
                if still_there:  # else another process has made the entry, and renamed the folder
                    self._make(beside, self.folder / key, make)

    def remove(self, key: str) -> None:
        """Remove an entry, if it is there."""
        _remove(self.folder / key)

    def clear(self) -> int:
        """Remove all that no process is making just now, and return the bytes that were freed."""
        freed = sum(entry.size for entry in self.entries())
        with contextlib.suppress(FileNotFoundError):
            for path in list(self.folder.iterdir()):
                if path.name.startswith("."):
                    _remove_unfinished(path)
                else:
                    _remove(path)
        return freed

    def fact(self, key: str) -> dict[str, Any] | None:
        """Return a fact that :meth:`keep_fact` kept; None if there is none."""
        path = self.folder / FACTS / f"{key}.json"
        try:
            return read_json(path)
        except RunError:
            return None

    def keep_fact(self, key: str, values: dict[str, Any]) -> None:
        """Keep some plain values, if they can be written. Of many facts the oldest are forgotten."""
        folder = self.folder / FACTS
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / f"{key}.json", values)
            facts = [path for path in folder.iterdir() if not path.name.startswith(".")]
            for path in sorted(facts, key=_modified)[: max(0, len(facts) - MOST_FACTS)]:
                path.unlink(missing_ok=True)

    def _make(self, beside: Path, final: Path, make: Callable[[Path], dict[str, Any]]) -> None:
        try:
            for left in beside.iterdir():  # by a process that died
                left.unlink()
            description = make(beside)
            for file in beside.iterdir():
                flush_to_disk(file)  # so that no entry is there without it after a loss of power
            write_json(beside / DESCRIPTION, description)
            _remove(final)  # it was damaged, or it would have been found
            os.replace(beside, final)
        except BaseException:
            _remove(beside)
            raise
        self._make_room(final)

    def _make_room(self, newest: Path) -> None:
        """Remove what has been unused for longest until everything is within the limit; the newest entry stays."""
        for path in self.folder.iterdir():
            if path.name.startswith("."):
                _remove_unfinished(path)
        total = 0
        for entry in sorted(self.entries(), key=lambda entry: (entry.path == newest, entry.used), reverse=True):
            total += entry.size
            if total > self.limit and entry.path != newest:
                _remove(entry.path)


def _entry(path: Path) -> CacheEntry | None:
    try:
        description = read_json(path / DESCRIPTION)
        used = (path / DESCRIPTION).stat().st_mtime
        return CacheEntry(path, description, sum(file.stat().st_size for file in path.iterdir()), used)
    except (OSError, RunError):
        return None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove_unfinished(path: Path) -> None:
    """Remove a folder in which a process that died was making an entry."""
    with try_lock(path) as locked:
        if locked:
            _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
