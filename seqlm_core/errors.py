"""Errors that a user can mend. Each message says in one or two lines what is wrong, where, and how to mend it.

Messages name settings and arguments as Python does, within backticks, as in `learning_rate`. The command line shows
these names as its options. Where the mend differs between Python and the command line, the error has an attribute with
the facts, such as the directory of the run.
"""

from __future__ import annotations

from pathlib import Path


class SeqlmError(Exception):
    """Something failed, and seqlm is not at fault. The command line prints the message and exits with 1."""

    exit_code = 1


def one_line(error: BaseException) -> str:
    """Return an error in one line: the message of an error of seqlm, or the type and the message of any other."""
    # MXNet puts the lines of its own C++ code before the message.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if isinstance(error, SeqlmError):
        return " ".join(lines)
    return f"{type(error).__name__}: {lines[-1] if lines[0].startswith('Traceback') else lines[0]}"


class UsageError(SeqlmError):
    """The request itself is wrong. The command line prints the message and exits with 2."""

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
    """No cell, tokenizer or optimizer of this name is registered."""


class PluginError(SeqlmError):
    """A plugin provides something that cannot be used."""


class PluginRuntimeError(PluginError):
    """A plugin raised an error while it ran, or returned a wrong value. The message names the plugin, file and line."""


class TextError(SeqlmError):
    """A text cannot be read, or it is too short."""


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
    """A run directory is missing or damaged, or it does not fit the request."""


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
    """The directory for a new run holds another run, which can be resumed."""


class NonFiniteLossError(SeqlmError):
    """The training loss became infinite or not a number."""


class TrainingInterrupted(ResumableError):  # noqa: N818 - nothing went wrong
    """A signal ended a training. Its state is saved, and the message says how to resume it.

    Args:
        message: what happened.
        signal_number: the number of the signal. The command line exits with 128 plus this number.
        resumable: the directory of the run.
    """

    def __init__(self, message: str, signal_number: int, resumable: Path | None = None) -> None:
        super().__init__(message, resumable)
        self.exit_code = 128 + signal_number
