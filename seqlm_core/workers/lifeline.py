"""Processes that end with the one that started them, however it ends."""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "SEQLM_LIFELINE"


class Lifeline:
    """A pipe into which nobody writes, and whose end is reached when the process that made it has ended.

    Attributes:
        reader: the descriptor that other processes inherit.
        environment: what their environment has to hold.
    """

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        self.environment = {VARIABLE: str(self.reader)}

    def close(self) -> None:
        """Close the pipe: processes that still have it are killed."""
        os.close(self.reader)
        os.close(self._writer)


def follow_lifeline() -> None:
    """Kill this process as soon as the one that gave it a lifeline has ended; without one, do nothing."""
    reader = os.environ.pop(VARIABLE, None)  # processes that this one starts do not have the pipe
    if reader is not None:
        threading.Thread(target=_wait_for_end, args=(int(reader),), daemon=True, name="lifeline").start()


def _wait_for_end(reader: int) -> None:
    os.read(reader, 1)
    os.kill(os.getpid(), signal.SIGKILL)
