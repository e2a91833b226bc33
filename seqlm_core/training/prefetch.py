"""Items of an iterator that a separate thread makes before they are used."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def prefetched(items: Iterator[T], most: int) -> Iterator[Iterator[T]]:
    """Give the items of an iterator, which a thread makes while earlier items are used.

    Whenever the thread is woken, it takes a processor from the computing threads. So it is woken only when half of the
    waiting items are used up. It ends after the last item, or when the context is left, which waits for the item that
    is being made. If the system allows no more threads, each item is made when it is used. If making an item raises an
    exception, it is raised in the place of the item.

    Args:
        items: the iterator; only the thread uses it.
        most: the largest number of items that wait to be used; at least 1.
    """
    made: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    room: SimpleQueue[None] = SimpleQueue()  # one entry for each item that may still be made
    left = threading.Event()
    together = (most + 1) // 2

    def make() -> None:
        try:
            for item in items:
                made.put(("item", item))
                room.get()
                if left.is_set():
                    return
            made.put(("end", None))
        except BaseException as error:
            made.put(("error", error))

    def give() -> Iterator[T]:
        for used in itertools.count(1):
            kind, value = made.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            if used % together == 0:
                for _ in range(together):
                    room.put(None)
            yield value

    for _ in range(most - 1):
        room.put(None)
    thread = threading.Thread(target=make, name="seqlm-prefetch", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        yield items
        return
    try:
        yield give()
    finally:
        left.set()
        room.put(None)
        thread.join()
