"""Things made by a thread of their own, some of them ahead of their use."""

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
    """Give the items of an iterator, which a thread makes while those before are used.

    The thread is woken when half of what may wait is used up: each time it takes a processor from those who compute.

    The thread ends with the items, or when the context is left, which waits for the item that is being made. Where the
    system allows no more threads, each item is made when it is used.
    An exception that making an item raises is raised where the item would have been given.

    Args:
        items: only the thread uses it.
        most: how many may wait for their use; at least 1.
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
