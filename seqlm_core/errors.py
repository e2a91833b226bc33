"""Errors that a user can mend: each says in one or two lines what is wrong, where, and the mend."""

from __future__ import annotations


class SeqlmError(Exception):
    """Something failed that is not a fault in seqlm; the command line prints it and exits with 1."""

    exit_code = 1


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


class TextError(SeqlmError):
    """A text cannot be read, or there is too little of it."""


class RunError(SeqlmError):
    """A run directory is missing, damaged, or not usable for what was asked."""


class NonFiniteLossError(SeqlmError):
    """The training loss became infinite or not a number."""


class TrainingInterrupted(SeqlmError):  # noqa: N818 - nothing went wrong
    """A signal ended a training; its state is saved, and the message has the command that goes on.

    Args:
        message: for the user.
        signal_number: of the signal; the command line exits with 128 more.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
