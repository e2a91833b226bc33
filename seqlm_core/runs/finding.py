"""Finding runs in folders."""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path

from seqlm_core.errors import RunError, UsageError
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.new_run import DEFAULT_PARENT
from seqlm_core.runs.replacement import DECIDED, MOVING
from seqlm_core.runs.summary import RunSummary, summarize
from seqlm_core.settings.arguments import PathLike, checked_path

logger = logging.getLogger("seqlm")

SIGNS = {"best.safetensors", "last.safetensors", "history.jsonl", DECIDED, MOVING}
"""A folder with one of these holds a run, or what is left of one. Other programs have a ``config.json``, too."""


def find_runs(folder: PathLike | None = None) -> list[RunSummary]:
    """Return a summary of each run in a folder and in the folders within it, sorted by their paths.

    Weights are not read, so damage within them is not found. Damaged runs are among the summaries. Hidden folders are
    left out, whose names begin with a dot. Links to folders are followed, but no folder is visited twice.

    Args:
        folder: the folder; None means ``data/models``, into which trainings write that are not told another place.

    Raises:
        UsageError: there is no such folder.
    """
    path = DEFAULT_PARENT if folder is None else checked_path("folder", folder)
    if not path.is_dir():
        if folder is None:
            return []
        raise UsageError(f"{path} is not a folder")
    return sorted(map(summarize, run_folders(path)), key=lambda run: _natural(run.path))


def run_folders(folder: Path, most: int | None = None) -> Iterator[Path]:
    """Yield the folders that hold runs: a folder itself and those within it, each once; links come last.

    Args:
        folder: the folder.
        most: how many folders to look into at the most; None means all.
    """
    seen: set[tuple[int, int]] = set()
    folders, links = deque([folder]), deque[Path]()
    while (folders or links) and (most is None or len(seen) < most):
        current = (folders or links).popleft()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as found:
                entries = list(found)
        except OSError as error:
            logger.warning("%s cannot be read: %s", current, error.strerror)
            continue
        if holds_run(current, [entry.name for entry in entries]):
            yield current
        for entry in entries:
            if not entry.name.startswith(".") and _is_folder(entry):
                (links if entry.is_symlink() else folders).append(Path(entry.path))


def holds_run(folder: Path, names: Collection[str]) -> bool:
    """Return whether a folder with files of these names holds a run, or what is left of one."""
    if not SIGNS.isdisjoint(names):
        return True
    if "config.json" not in names:
        return False
    try:
        RunDirectory(folder).read_config()
    except RunError:
        return False
    return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _natural(path: Path) -> list[str | int]:
    """Return a key by which ``run-10`` comes after ``run-9``."""
    return [int(part) if number % 2 else part for number, part in enumerate(re.split(r"(\d+)", str(path)))]
