"""Lets a training that is interrupted finish its step and save."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

from seqlm_core.training.extension import Extension

if TYPE_CHECKING:
    from seqlm_core.training.loop import Training

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts(Extension):
    """Ends the training after the step at Ctrl-C or SIGTERM; a second signal acts as it always does.

    Attributes:
        received: the signal that ended the training, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def on_start(self, training: Training) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def on_step(self, training: Training) -> None:
        if self.received is not None and training.stop_reason is None:
            training.stop_reason = "interrupted"

    def on_finish(self, training: Training) -> None:
        self._restore_handlers()

    def on_error(self, training: Training, error: BaseException) -> None:
        self._restore_handlers()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
