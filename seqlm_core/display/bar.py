"""A bar that shows on a terminal how far some work is."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from seqlm_core.display.display import Display
from seqlm_core.display.duration import duration
from seqlm_core.display.lines import bar_line
from seqlm_core.storage.streams import BestEffortStream

ItemT = TypeVar("ItemT")

SECONDS_BEFORE = 1.0
"""What takes less time is not shown."""


_wanted = contextvars.ContextVar("bars are wanted", default=False)


@contextlib.contextmanager
def bars_wanted() -> Iterator[None]:
    """Show the bars of all work within the block, as the command line does. From Python they are not shown."""
    before = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(before)


def show_no_bars() -> None:
    """Show no bars in the rest of the block of :func:`bars_wanted`."""
    _wanted.set(False)


class Bar:
    """Shows a bar while work is done within the block, and removes it at the end. Elsewhere nothing is shown.

    Work that is a part of other work, which has a bar, has none of its own.

    Args:
        doing: what is done, in a word or two.
        total: how much there is to do; without it nothing is shown. It may be set later.
        shown: whether the bar is wanted, also if bars are not wanted in general.
    """

    _outermost: ClassVar[Bar | None] = None

    def __init__(self, doing: str, total: float = 0, shown: bool = False) -> None:
        self.total = total
        self._doing = doing
        self._done = 0.0
        self._started = time.perf_counter()
        stream = BestEffortStream(sys.stderr)
        is_seen = (shown or _wanted.get()) and stream.can_redraw()
        self._display = Display(stream, self._lines) if is_seen else None

    def __enter__(self) -> Bar:
        if self._display is not None and Bar._outermost is not None:
            self._display = None
        if self._display is not None:
            Bar._outermost = self
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            Bar._outermost = None
            self._display.end(keep=False)

    def advance(self, amount: float = 1) -> None:
        """Note that so much more is done."""
        if self._display is None:
            return
        self._done += amount
        if self._display.is_shown:
            self._display.update()
        elif self.total and time.perf_counter() - self._started >= SECONDS_BEFORE:
            self._display.show()

    def over(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """Yield items, and note each as done when the next one is asked for."""
        for item in items:
            yield item
            self.advance()

    def _lines(self, width: int, height: int) -> Sequence[Any]:
        seconds = time.perf_counter() - self._started
        left = max(0.0, self.total - self._done) * seconds / self._done if self._done else 0.0
        return [bar_line(self._done, self.total, width, self._doing, f"  {duration(left)} left")]
