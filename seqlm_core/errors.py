"""Errors that a user can mend: each says in one or two lines what is wrong, where, and the mend.

Messages name settings and arguments as Python does, within backticks, as in `learning_rate`. The command line shows
these names as its options. What Python and the command line mend in different ways is an attribute of the error.
"""

from __future__ import annotations

from pathlib import Path


class SeqlmError(Exception):
    """Something failed that is not a fault in seqlm; the command line prints it and exits with 1."""

    exit_code = 1


def one_line(error: BaseException) -> str:
    """Return an error in one line: one of ours as it is told, any other with its type."""
    # MXNet puts the lines of its own C++ code before the message.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if isinstance(error, SeqlmError):
        return " ".join(lines)
    return f"{type(error).__name__}: {lines[-1] if lines[0].startswith('Traceback') else lines[0]}"


class UsageError(SeqlmError):
    """The request itself is wrong; the command line prints it and exits with 2."""

    exit_code = 2


class SettingError(UsageError):
    """One setting has a value that cannot be used.

    Args:
        setting: the setting's name as the Python API spells it, such as ``hidden_size``.
        problem: what is wrong with it, such as ``must be at least 1, not 0``.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class UnknownNameError(UsageError):
    """A cell, tokenizer or optimizer of that name is not registered."""


class PluginError(SeqlmError):
    """A plugin handed over something that cannot be used."""


class PluginRuntimeError(PluginError):
    """A plugin raised an error while it ran, or returned what it may not; the message names plugin, file and line."""


class TextError(SeqlmError):
    """A text cannot be read, or there is too little of it."""


class ResumableError(SeqlmError):
    """Something happened after which a run can be resumed; the message says how.

    Args:
        message: what happened.
        resumable: the directory of the run; None if there is no run to resume.

    Attributes:
        message: what happened, without how to resume the run.
        resumable: the directory of the run; None if there is no run to resume.
    """

    def __init__(self, message: str, resumable: Path | None = None) -> None:
        how = "" if resumable is None else f"; go on with: seqlm_core.resume({str(resumable)!r})"
        super().__init__(message + how)
        self.message = message
        self.resumable = resumable


class RunError(ResumableError):
    """A run directory is missing, damaged, or not usable for what was asked."""


class PluginNotLoadedError(RunError):
    """A run needs a plugin that is in a file, which has not been loaded; the message says how to load it.

    Args:
        message: what is missing.
        file: the path of the file.

    Attributes:
        message: what is missing, without how to load it.
        file: the path of the file.
    """

    def __init__(self, message: str, file: str) -> None:
        super().__init__(f"{message}: seqlm_core.load_plugin({file!r})")
        self.message = message
        self.file = file


class RunExistsError(ResumableError, UsageError):
    """A new run would go where another run is, which can be resumed."""


class NonFiniteLossError(SeqlmError):
    """The training loss became infinite or not a number."""


class TrainingInterrupted(ResumableError):  # noqa: N818 - nothing went wrong
    """A signal ended a training; its state is saved, and the message says how to go on.

    Args:
        message: what happened.
        signal_number: of the signal; the command line exits with 128 more.
        resumable: the directory of the run.
    """

    def __init__(self, message: str, signal_number: int, resumable: Path | None = None) -> None:
        super().__init__(message, resumable)
        self.exit_code = 128 + signal_number
