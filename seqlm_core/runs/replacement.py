"""Replacing a run by a new one. The old run stays until the new one has a checkpoint to go on from.

The new run begins in a folder within the directory of the old one. When it has a checkpoint, this folder is renamed,
and from then on the new run is the valid one. Then the files of the old run are removed, and those of the new run are
moved up. A process may die at any moment of this. The folder's name says how far it got, and the next process that
opens the run finishes the rest.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from seqlm_core.errors import RunError
from seqlm_core.storage.files import is_unfinished
from seqlm_core.storage.locking import locked

STAGED = ".new-run"  # has no checkpoint yet; useless if its process died
DECIDED = ".new-run-decided"  # the files beside it belong to the old run and will be removed
MOVING = ".new-run-moving"  # the files beside it have been moved up already
FOLDERS = (STAGED, DECIDED, MOVING)

SECONDS_TO_WAIT = 10.0


def stage(directory: Path) -> Path:
    """Make and return the folder in which the new run begins."""
    path = directory / STAGED
    path.mkdir()
    return path


def discard(directory: Path) -> None:
    """Remove the folder of a new run that will not replace the old one."""
    shutil.rmtree(directory / STAGED, ignore_errors=True)


def decide(directory: Path) -> None:
    """Make the new run the valid one: from here on the old run is only to be removed."""
    os.rename(directory / STAGED, directory / DECIDED)


def finish(directory: Path, names: Collection[str]) -> None:
    """Finish a replacement that is decided. The caller must hold the directory's lock.

    Args:
        directory: the directory of the run.
        names: the names of all files that a run can have.
    """
    decided, moving = directory / DECIDED, directory / MOVING
    if _is_folder(decided):
        remove_files(directory, names)
        os.rename(decided, moving)
    if _is_folder(moving):
        for name in names:
            if os.path.lexists(moving / name):
                os.replace(moving / name, directory / name)
        shutil.rmtree(moving)


def recover(directory: Path, names: Collection[str]) -> None:
    """Finish a replacement if its process died before the end.

    Raises:
        RunError: it cannot be finished.
    """
    patience = time.monotonic() + SECONDS_TO_WAIT
    while _is_folder(directory / DECIDED) or _is_folder(directory / MOVING):
        try:
            with locked(directory):
                finish(directory, names)
        except RunError:  # another process holds the lock and may be finishing it
            if time.monotonic() > patience:
                raise
            time.sleep(0.01)
        except OSError as error:
            raise RunError(
                f"the run in {directory} was being replaced when its process died, and that cannot be finished: "
                f"{error.filename}: {error.strerror}"
            ) from error


def remove_files(directory: Path, names: Collection[str]) -> None:
    """Remove the files of a run, including those that were not finished."""
    for path in directory.iterdir():
        if path.name in names or is_unfinished(path, names):
            path.unlink(missing_ok=True)


def remove_leftovers(directory: Path, names: Collection[str]) -> None:
    """Remove what processes that died have left unfinished. The caller must hold the directory's lock.

    Raises:
        RunError: something cannot be removed.
    """
    try:
        finish(directory, names)
        for path in directory.iterdir():
            if path.name == STAGED and _is_folder(path):
                shutil.rmtree(path)
            elif is_unfinished(path, names):
                path.unlink()
    except OSError as error:
        raise RunError(
            f"a process that died has left {error.filename}, which cannot be removed: {error.strerror}"
        ) from error


def is_leftover(path: Path, names: Collection[str]) -> bool:
    """Whether a path in a run's directory was left by a process that died."""
    return path.name in FOLDERS or is_unfinished(path, names)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
