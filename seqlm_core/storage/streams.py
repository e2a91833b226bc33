"""Streams for what may be told, such as progress: what they cannot write is dropped."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO


class BestEffortStream:
    """A text stream on which writing never fails: nothing that is told of a training is worth the training.

    A reader that went away, a terminal that was closed and a full disk take what is written from then on; characters
    that the stream's encoding does not have are written as escapes.

    Args:
        stream: to write to; None, as ``sys.stderr`` is in a process that began without it, takes nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be written of a text, and return its length."""
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
                try:
                    self._stream.write(text)
                except UnicodeEncodeError as error:
                    self._stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        return len(text)

    def flush(self) -> None:
        """Write what waits, if that is possible."""
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether this is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False


def open_missing_standard_streams() -> None:
    """Put the null device in the place of standard streams that are closed.

    The next file opened would take their number otherwise, and a library's message would go into it.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.dup(descriptor)
    os.close(descriptor)


def drop_unwritten() -> None:
    """Let go of what the standard streams could not write, so that Python does not complain of it as it ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
