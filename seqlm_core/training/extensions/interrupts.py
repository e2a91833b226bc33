"""Ends an interrupted training after the current step, so that it is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any

from seqlm_core.training.extension import STOP, Extension, Training

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts(Extension):
    """Ends the training after the current step on Ctrl-C, SIGTERM or SIGHUP.

    A second Ctrl-C or SIGTERM has its usual effect. A second SIGHUP has none, since a terminal that is closed often
    sends two: one from the operating system, one from the shell. If SIGHUP was ignored before, as under ``nohup``, it
    still is.

    Attributes:
        received: the signal that ended the training; None if there was none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def on_start(self, training: Training) -> None:
        if threading.current_thread() is threading.main_thread():
            hangup = getattr(signal, "SIGHUP", None)  # not on every system
            heard = [*SIGNALS] if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN else [*SIGNALS, hangup]
            self._before = {number: signal.signal(number, self._receive) for number in heard}

    def on_step_end(self, training: Training) -> None:
        if training.agree(STOP, self.received is not None) and training.stop_reason is None:
            training.stop_reason = "interrupted"

    def on_finish(self, training: Training) -> None:
        self._restore_handlers()

    def on_error(self, training: Training, error: BaseException) -> None:
        self._restore_handlers()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)
        self._restore_handlers(SIGNALS)

    def _restore_handlers(self, numbers: Iterable[signal.Signals] | None = None) -> None:
        for number in [*self._before] if numbers is None else numbers:
            if number in self._before:
                signal.signal(number, self._before.pop(number))
