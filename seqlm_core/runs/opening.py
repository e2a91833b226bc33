"""Runs of all kinds."""

from __future__ import annotations

from typing import Any

from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.settings.arguments import PathLike, checked_path

KINDS: tuple[type[Run[Any]], ...] = (LanguageRun, SequenceRun)


def open_run(path: PathLike) -> Run[Any]:
    """Return the run in a directory, of whatever kind it is.

    Raises:
        RunError: there is none, it is damaged, or a plugin that it needs is missing.
    """
    task = RunDirectory(checked_path("path", path)).read_config()["task"]
    return {kind.task: kind for kind in KINDS}[task](path)
