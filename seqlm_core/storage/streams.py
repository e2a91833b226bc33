"""Streams for messages that may be lost, such as progress: text that cannot be written is dropped."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO

TERMINALS_OF_LINES = ("", "dumb", "unknown")
"""Terminals, as ``TERM`` names them, that write line after line and can do no more."""


class BestEffortStream:
    """A text stream on which writing never fails, since no message is worth the loss of a training.

    Text is dropped when its reader has gone, the terminal was closed or the disk is full. Characters that the stream's
    encoding lacks are written as escapes.

    Args:
        stream: the stream to write to. With None, which is ``sys.stderr`` of a process that began without it, all text
            is dropped.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text as far as possible, and return its length."""
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
                try:
                    self._stream.write(text)
                except UnicodeEncodeError as error:
                    self._stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        return len(text)

    def flush(self) -> None:
        """Write the text that is still in the buffer, if possible."""
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether this is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def can_redraw(self) -> bool:
        """Whether this is a terminal on which lines can be written anew; some report no columns, or cannot go back."""
        if os.environ.get("TERM", "") in TERMINALS_OF_LINES:
            return False
        try:
            return self.isatty() and os.get_terminal_size(self.fileno()).columns > 0
        except (OSError, ValueError):
            return False


def open_missing_standard_streams() -> None:
    """Open the null device in the place of standard streams that are closed.

    Otherwise the next file that is opened would get such a number, and messages of libraries would go into it.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.dup(descriptor)
    os.close(descriptor)


def drop_unwritten() -> None:
    """Drop what the standard streams could not write, so that Python does not complain about it at its end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
