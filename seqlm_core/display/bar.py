"""A bar that shows on a terminal how far some work is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from seqlm_core.display.display import Display
from seqlm_core.display.duration import duration
from seqlm_core.display.lines import bar_line
from seqlm_core.storage.streams import BestEffortStream

ItemT = TypeVar("ItemT")

SECONDS_BEFORE = 1.0
"""What takes less time is not shown."""


class Bar:
    """Shows a bar while work is done within the block, and removes it at the end. Elsewhere nothing is shown.

    Args:
        doing: what is done, in a word or two.
        total: how much there is to do; what is not known is not shown.
        shown: whether the bar is wanted.
    """

    def __init__(self, doing: str, total: float | None, shown: bool = True) -> None:
        self._doing = doing
        self._total = total or 0
        self._done = 0.0
        self._started = time.perf_counter()
        stream = BestEffortStream(sys.stderr)
        is_seen = shown and self._total > 0 and stream.can_redraw()
        self._display = Display(stream, self._lines) if is_seen else None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.end(keep=False)

    def advance(self, amount: float = 1) -> None:
        """Note that so much more is done."""
        if self._display is None:
            return
        self._done += amount
        if self._display.is_shown:
            self._display.update()
        elif time.perf_counter() - self._started >= SECONDS_BEFORE:
            self._display.show()

    def over(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """Yield items, and note each as done when the next one is asked for."""
        for item in items:
            yield item
            self.advance()

    def _lines(self, width: int, height: int) -> Sequence[Any]:
        seconds = time.perf_counter() - self._started
        left = max(0.0, self._total - self._done) * seconds / self._done if self._done else 0.0
        return [bar_line(self._done, self._total, width, self._doing, f"  {duration(left)} left")]
