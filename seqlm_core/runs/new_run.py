"""The directory of a new run: where it is, how it is made, and what remains of it after an error."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

from seqlm_core.errors import RunError, RunExistsError, SeqlmError, UsageError
from seqlm_core.runs import replacement
from seqlm_core.runs.config import is_compressed
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.storage.locking import locked

DEFAULT_PARENT = Path("data/models")


def check_destination(out: PathLike | None, overwrite: bool) -> None:
    """Check that a new run may be written to ``out``, so that an error comes before a long text is read.

    Raises:
        UsageError: ``out`` is not a directory, or holds another run or other files.
    """
    if out is None:
        return
    path = checked_path("out", out)
    if not os.fspath(out):
        raise UsageError("`out` must name a directory, not nothing")
    directory = RunDirectory(path)
    if directory.path.exists() and not directory.path.is_dir():
        raise UsageError(f"`out` {out} is a file, not a directory")
    directory.recover()
    if directory.config.exists():
        if not overwrite:
            message = f"`out` {out} holds another run, which `overwrite` would replace"
            raise RunExistsError(message, _resumable(directory))
    elif directory.path.is_dir() and not all(directory.owns(path) for path in directory.path.iterdir()):
        raise UsageError(f"`out` {out} holds other files and no run; name a new or an empty directory")


def _resumable(directory: RunDirectory) -> Path | None:
    """Return the directory of a run that is there; None if it was imported or compressed, and cannot go on."""
    try:
        config = directory.read_config()
        return None if "imported_from" in config or is_compressed(config) else directory.path
    except RunError:  # which is told where the run is opened
        return directory.path


@contextlib.contextmanager
def new_run_directory(files: TrainingFiles, cell: str, out: PathLike | None, overwrite: bool) -> Iterator[RunDirectory]:
    """Give the locked directory of a new run. After an error it is removed, unless it holds something worth keeping.

    Args:
        files: the files of texts or examples that are trained on.
        cell: the name of the cell.
        out: the directory; None means ``data/models/TEXT-CELL-N``.
        overwrite: whether to replace a run that is there.

    Raises:
        UsageError: ``out`` cannot be used.
    """
    directory = _make_directory(out, _run_name(files.name, cell))
    with locked(directory.path):
        directory.remove_leftovers()
        check_destination(out, overwrite)  # again, now that nobody else can change the answer
        directory = _begin(directory, files)
        try:
            yield directory
        except BaseException as error:
            if _is_to_be_removed(directory, files, error):
                _remove(directory)
            raise


@contextlib.contextmanager
def whole_run_directory(out: Path, overwrite: bool) -> Iterator[RunDirectory]:
    """Give the directory of a new run that is written within the block, whole or not at all.

    Args:
        out: where the run is afterwards.
        overwrite: whether to replace a run that is there.

    Raises:
        UsageError: ``out`` cannot be used.
        SeqlmError: the run cannot be written, for instance since the disk is full.
    """
    is_new = not out.exists()
    directory = _make_directory(out, "")
    with locked(directory.path):
        directory.remove_leftovers()
        check_destination(out, overwrite)
        try:
            staged = dataclasses.replace(directory, path=replacement.stage(out), replaces=out)
            yield staged
            staged.mark_step_saved()
        except BaseException as error:
            replacement.discard(out)
            if is_new and not any(out.iterdir()):
                out.rmdir()
            if isinstance(error, OSError):
                raise SeqlmError(f"{out} cannot be written: {error.strerror}") from error
            raise


def _make_directory(out: PathLike | None, name: str) -> RunDirectory:
    """Make the directory of a new run.

    Args:
        out: the directory; None means ``data/models/NAME-N`` with the next free number.
        name: a name made of text and cell.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        if out is None:
            return RunDirectory.of_new_run(_next_free(DEFAULT_PARENT, name))
        directory = RunDirectory.of_new_run(Path(out))
        directory.path.mkdir(parents=True, exist_ok=True)
        return directory
    except OSError as error:
        raise UsageError(f"`out` {out or DEFAULT_PARENT} cannot be written to: {error.strerror}") from error


def _run_name(text: str, cell: str) -> str:
    """Return a name for a run, made of the names of its text and its cell."""
    stem = re.sub(r"[^\w.-]+", "-", text).strip("-.") or "text"
    return f"{stem}-{cell}"


def _next_free(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / f"{name}-{number}"
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def _begin(directory: RunDirectory, files: TrainingFiles) -> RunDirectory:
    """Return the directory in which a new run begins.

    That is the directory itself, or a folder within it if a run is there that will be replaced.

    Raises:
        UsageError: a text belongs to the run that will be replaced, or the directory cannot be written to.
    """
    replaced = {path.resolve() for path in directory.files}
    for text in files.training + files.validation:
        if text.path.resolve() in replaced:
            raise UsageError(f"{text.path} belongs to the run that `overwrite` would replace; copy it elsewhere first")
    for path in directory.files:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and a run has a file of that name; move it away")
    try:
        if directory.config.exists():
            directory = dataclasses.replace(directory, path=replacement.stage(directory.path), replaces=directory.path)
        else:
            replacement.remove_files(directory.path, directory.file_names)
        directory.history.touch()
    except OSError as error:
        if directory.replaces is not None:
            replacement.discard(directory.replaces)
        raise UsageError(f"`out` {directory.final_path} cannot be written to: {error.strerror}") from error
    return directory


def _is_to_be_removed(directory: RunDirectory, files: TrainingFiles, error: BaseException) -> bool:
    """Whether nothing of the new run is worth keeping after an error."""
    if directory.replaces is not None:
        return True  # the old run is still there
    if directory.has_saved_steps or files.came_from_standard_input or not isinstance(error, Exception):
        return False
    # After an error of the run itself, such as a full disk, a run with a checkpoint can be resumed.
    return not isinstance(error, RunError) or not directory.last.exists()


def _remove(directory: RunDirectory) -> None:
    """Remove the run's files, and the directory if nothing else is in it."""
    if directory.replaces is not None:
        replacement.discard(directory.replaces)
    elif directory.path.is_dir():
        replacement.remove_files(directory.path, directory.file_names)
        if not any(directory.path.iterdir()):
            directory.path.rmdir()
