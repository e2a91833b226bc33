"""Runs of all kinds."""

from __future__ import annotations

from typing import Any

from seqlm_core.arguments import checked_path
from seqlm_core.reading.text import PathLike
from seqlm_core.run import Run
from seqlm_core.run_directory import RunDirectory
from seqlm_core.sequence_run import SequenceRun
from seqlm_core.trained_run import TrainedRun

KINDS: tuple[type[TrainedRun[Any]], ...] = (Run, SequenceRun)


def open_run(path: PathLike) -> TrainedRun[Any]:
    """Return the run in a directory, of whatever kind it is.

    Raises:
        RunError: there is none, it is damaged, or a plugin that it needs is missing.
    """
    task = RunDirectory(checked_path("path", path)).read_config()["task"]
    return {kind.task: kind for kind in KINDS}[task](path)
