"""Opening a run of any kind."""

from __future__ import annotations

from typing import Any

from seqlm_core.errors import SettingError
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.settings.arguments import PathLike, checked_path


def open_run(path: PathLike, language_model: PathLike | None = None) -> Run[Any]:
    """Return the run in a directory, as an object of its kind.

    Args:
        path: the run directory.
        language_model: as for :class:`~seqlm_core.runs.sequence_run.SequenceRun`.

    Raises:
        RunError: the directory holds no run, is damaged, or needs a plugin that is missing.
        SettingError: a language model is named that the run does not read.
    """
    task = RunDirectory(checked_path("path", path)).read_config()["task"]
    if task == SequenceRun.task:
        return SequenceRun(path, language_model)
    if language_model is not None:
        raise SettingError("language_model", f"is of no use: {path} holds a {task}")
    return LanguageRun(path)
