"""Where a new run goes: a directory that is named, or the next free one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from seqlm_core.errors import RunExistsError, UsageError
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.settings.arguments import PathLike, checked_path

DEFAULT_PARENT = Path("data/models")


def check_destination(out: PathLike | None, overwrite: bool) -> None:
    """Find out, before a long text is read, whether a run may be written to ``out``.

    Raises:
        UsageError: it holds another run, or other files.
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
            raise RunExistsError(f"`out` {out} holds another run, which `overwrite` would replace", directory.path)
    elif directory.path.is_dir() and not all(directory.owns(path) for path in directory.path.iterdir()):
        raise UsageError(f"`out` {out} holds other files and no run; name a new or an empty directory")


def make_run_directory(out: PathLike | None, name: str) -> RunDirectory:
    """Make the directory of a new run.

    Args:
        out: where; None makes ``data/models/NAME-N`` with the next free number.
        name: for the directory's name, made of text and cell.

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


def run_name(text: str, cell: str) -> str:
    """Return a name for a run on a text of that name with that cell."""
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
