"""Opening a run of any kind."""

from __future__ import annotations

from typing import Any

from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.settings.arguments import PathLike, checked_path

RUN_CLASSES: tuple[type[Run[Any]], ...] = (LanguageRun, SequenceRun)


def open_run(path: PathLike) -> Run[Any]:
    """Return the run in a directory, as an object of its kind.

    Raises:
        RunError: the directory holds no run, is damaged, or needs a plugin that is missing.
    """
    task = RunDirectory(checked_path("path", path)).read_config()["task"]
    return {kind.task: kind for kind in RUN_CLASSES}[task](path)
