"""Processes of this machine that compute side by side, since Python keeps one core busy."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable

from loky import BrokenProcessPool, ProcessPoolExecutor

from seqlm_core.engine.system import IS_POSIX
from seqlm_core.engine.threads import usable_cores
from seqlm_core.errors import SeqlmError

AHEAD = 3
"""How many items each process may have waiting."""

SECONDS_BETWEEN_LOOKS = 1.0

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

InOrder = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Applies a function to items, and yields its results in the order of the items. Few of them are waiting at a time."""


def here_in_order(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Apply a function in this process; an :data:`InOrder`."""
    return map(function, items)


def number_of_jobs(jobs: int) -> int:
    """Return the number of processes that are asked for: 0 is one for each usable core."""
    return jobs or usable_cores()


@contextlib.contextmanager
def processes_in_order(count: int, doing: str) -> Iterator[InOrder | None]:
    """Give a function that applies others in several processes; None where the system has none of what they need.

    Functions and items are copied to them. The processes compute with one thread each, leave Ctrl-C to this one, and
    end with it.

    Args:
        count: the number of processes.
        doing: what each of them does, for the error.

    Raises:
        SeqlmError: a process was ended from outside.
    """
    if not IS_POSIX:  # they could not tell that the one that began them has ended
        yield None
        return
    try:
        executor = ProcessPoolExecutor(count, initializer=_begin, initargs=(os.getpid(),), env=ONE_THREAD)
    except (OSError, ImportError, NotImplementedError):  # a system without shared semaphores
        yield None
        return

    def in_order(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        running: collections.deque[Any] = collections.deque()
        for item in items:
            running.append(executor.submit(function, item))
            if len(running) > AHEAD * count:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    try:
        yield in_order
    except BrokenProcessPool as error:
        raise SeqlmError(
            f"a process that {doing} was ended from outside, perhaps since there was too little memory"
        ) from error
    finally:
        executor.shutdown(kill_workers=True)


def _begin(parent: int) -> None:
    """Leave Ctrl-C to the parent process, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)
