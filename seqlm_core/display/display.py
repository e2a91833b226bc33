"""Lines at the end of a terminal that are updated in place, while what others write appears above them.

The lines are laid out by rich. Its own live display is not used, since it hides the cursor, and a process that is
killed leaves it hidden. Here the cursor stands below the lines at any time, so that nothing has to be put back.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, ClassVar

from seqlm_core.storage.streams import BestEffortStream

if TYPE_CHECKING:
    from rich.console import Console

SECONDS_BETWEEN = 0.4
"""The shortest time from one update to the next."""
MOST_SHARE = 0.005
"""The most of the time that updates take: where one takes long, as on a slow connection, the next one comes later."""

TO_END_OF_LINE, TO_END_OF_SCREEN = "\x1b[K", "\x1b[J"
"""Sequences that erase what stands after the cursor."""


class Display:
    """Lines that are updated in place.

    While they are shown, what is written to ``sys.stdout`` and ``sys.stderr``, and by handlers of logging, goes above
    them if it goes to the same terminal. One display is shown at a time: a second one shows nothing.

    Args:
        stream: the terminal, which :meth:`~seqlm_core.storage.streams.BestEffortStream.can_redraw`.
        draw: a function of a number of columns and of rows, which the lines have to fit into, that returns the lines,
            as rich can print them.
    """

    _shown: ClassVar[Display | None] = None

    def __init__(self, stream: BestEffortStream, draw: Callable[[int, int], Sequence[Any]]) -> None:
        self._stream = stream
        self._draw = draw
        self._console: Console | None = None
        self._lines: list[str] = []
        self._next = 0.0
        self._lock = threading.RLock()
        self._diverted: list[Callable[[], object]] = []

    @property
    def is_shown(self) -> bool:
        """Whether the lines are on the terminal."""
        return Display._shown is self

    def show(self) -> None:
        """Show the lines, unless another display is shown."""
        from rich.console import Console

        if Display._shown is not None:
            return
        self._console = Console(
            file=self._stream,  # type: ignore[arg-type]
            force_terminal=True,
            force_jupyter=False,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
        )
        Display._shown = self
        self._divert()
        self.update(now=True)

    def update(self, *, now: bool = False) -> None:
        """Show the lines as they are now, if the last time was long enough ago or if it has to be ``now``."""
        begin = time.perf_counter()
        if not self.is_shown or (begin < self._next and not now):
            return
        with self._lock:
            erase = self._to_first_line()
            self._lay_out()
            self._write(erase + self._shown_lines())
        end = time.perf_counter()
        self._next = end + max(SECONDS_BETWEEN, (end - begin) / MOST_SHARE)

    def end(self, *, keep: bool) -> None:
        """End the display: its lines stay as they are now, or are erased."""
        if not self.is_shown:
            return
        with self._lock:
            for restore in reversed(self._diverted):
                restore()
            self._diverted = []
            try:
                if keep:
                    self.update(now=True)
                else:
                    self._write(self._to_first_line() + TO_END_OF_SCREEN)
            finally:
                Display._shown = None

    def write_above(self, stream: Any, text: str) -> None:
        """Write whole lines above the display to a stream of its terminal; once it has ended, write them there."""
        with self._lock:
            if not self.is_shown:
                stream.write(text)
                return
            self._write(self._to_first_line() + TO_END_OF_SCREEN)
            self._lines = []
            try:
                stream.write(text)
                stream.flush()
            finally:
                self._lay_out()
                self._write(self._shown_lines())

    def _lay_out(self) -> None:
        if self._console is None:
            return
        columns, rows = _size_of(self._stream)
        # The last column stays free, since terminals differ in what follows a character there, and the last row, since
        # the cursor stands there.
        width, height = max(1, columns - 1), max(1, rows - 1)
        self._console.size = (width, height)
        with self._console.capture() as captured:
            for line in self._draw(width, height):
                self._console.print(line, no_wrap=True, overflow="crop")
        self._lines = captured.get().split("\n")[:-1][:height]

    def _to_first_line(self) -> str:
        return f"\r\x1b[{len(self._lines)}A" if self._lines else "\r"

    def _shown_lines(self) -> str:
        return "".join(f"{line}{TO_END_OF_LINE}\n" for line in self._lines) + TO_END_OF_SCREEN

    def _write(self, text: str) -> None:
        self._stream.write(text)  # at once, so that nothing flickers
        self._stream.flush()

    def _divert(self) -> None:
        """Let what others write to this terminal go above the lines."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if _is_same_terminal(stream, self._stream):
                above = _Above(self, stream)
                setattr(sys, name, above)
                self._diverted.append(functools.partial(setattr, sys, name, stream))
                self._diverted.append(above.close_line)
        for logger in (logging.getLogger("seqlm"), logging.getLogger()):
            for handler in logger.handlers:
                if isinstance(handler, logging.StreamHandler) and _is_same_terminal(handler.stream, self._stream):
                    before = handler.setStream(_Above(self, handler.stream))
                    self._diverted.append(functools.partial(handler.setStream, before))


class _Above:
    """A stream whose lines go above a display. A line is written when it is whole."""

    def __init__(self, display: Display, stream: Any) -> None:
        self._display = display
        self._stream = stream
        self._begun = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        whole, line_feed, self._begun = (self._begun + text).rpartition("\n")
        if line_feed:
            self._display.write_above(self._stream, whole + line_feed)
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: what is whole is written already."""

    def close_line(self) -> None:
        """Write a line that was begun and not ended."""
        if self._begun:
            self.write("\n")


def _size_of(stream: BestEffortStream) -> tuple[int, int]:
    """Return the columns and rows of a terminal, which may change at any time."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return columns or 80, rows or 24


def _is_same_terminal(one: Any, other: Any) -> bool:
    try:
        return one.isatty() and other.isatty() and os.fstat(one.fileno()).st_rdev == os.fstat(other.fileno()).st_rdev
    except (AttributeError, OSError, ValueError):
        return False
