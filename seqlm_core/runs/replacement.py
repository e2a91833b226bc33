"""A new run in the place of another: until it has a checkpoint the old one is there, and then the new one.

The new run begins in a folder within the directory of the old one. When it has something to go on from, that folder is
renamed, which decides it; then the files of the old run go, and its own move up. A process may die at any moment of
that: the folder's name tells how far it came, and whoever opens the run next finishes it.
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

STAGED = ".new-run"  # without a checkpoint; of no use to anybody if its process died
DECIDED = ".new-run-decided"  # the files beside it are those of the old run, which go
MOVING = ".new-run-moving"  # the files beside it are those that have moved up already
FOLDERS = (STAGED, DECIDED, MOVING)

SECONDS_TO_WAIT = 10.0


def stage(directory: Path) -> Path:
    """Make and return the folder in which the new run begins."""
    path = directory / STAGED
    path.mkdir()
    return path


def discard(directory: Path) -> None:
    """Remove the folder of a run that has not come to replace the old one."""
    shutil.rmtree(directory / STAGED, ignore_errors=True)


def decide(directory: Path) -> None:
    """From here on the staged run is the one that there is."""
    os.rename(directory / STAGED, directory / DECIDED)


def finish(directory: Path, names: Collection[str]) -> None:
    """Do what is left to do of a replacement that is decided; only for who holds the directory's lock.

    Args:
        directory: of the run.
        names: of the files that a run can have.
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
    """Finish a replacement if its process died in the middle of it.

    Raises:
        RunError: that is not possible.
    """
    patience = time.monotonic() + SECONDS_TO_WAIT
    while _is_folder(directory / DECIDED) or _is_folder(directory / MOVING):
        try:
            with locked(directory):
                finish(directory, names)
        except RunError:  # it is at work on it
            if time.monotonic() > patience:
                raise
            time.sleep(0.01)
        except OSError as error:
            raise RunError(
                f"the run in {directory} was being replaced when its process died, and that cannot be finished: "
                f"{error.filename}: {error.strerror}"
            ) from error


def remove_files(directory: Path, names: Collection[str]) -> None:
    """Remove the files of a run, and what was not finished of them."""
    for path in directory.iterdir():
        if path.name in names or is_unfinished(path, names):
            path.unlink(missing_ok=True)


def remove_leftovers(directory: Path, names: Collection[str]) -> None:
    """Remove what processes that died have left unfinished; only for who holds the directory's lock.

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


def is_left(path: Path, names: Collection[str]) -> bool:
    """Whether a path in a run's directory is what a process that died has left."""
    return path.name in FOLDERS or is_unfinished(path, names)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
