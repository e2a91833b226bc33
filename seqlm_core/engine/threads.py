"""How many threads compute: ``OMP_NUM_THREADS``, limited by the usable cores and by what the system allows."""

from __future__ import annotations

import logging
import os
import re
import threading

from seqlm_core.errors import SeqlmError

logger = logging.getLogger("seqlm")

# Threads that MXNet itself starts. If it cannot start them, it ends the process or waits for ever.
MXNETS_OWN = 5


def usable_cores() -> int:
    """Return the number of processors on which this process may run."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def startable_threads(wanted: int) -> int:
    """Return how many more threads this process can start, at most ``wanted``."""
    leave = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(wanted):
            thread = threading.Thread(target=leave.wait, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                break
            started.append(thread)
    finally:
        leave.set()
        for thread in started:
            thread.join()
    return len(started)


def settle_threads() -> None:
    """Set ``OMP_NUM_THREADS`` to a number of threads that this process can start. MXNet reads it when it is imported.

    Raises:
        SeqlmError: it is not a number, or the system allows fewer threads than MXNet itself needs.
    """
    given = os.environ.get("OMP_NUM_THREADS")
    cores = usable_cores()
    if given is not None and not re.fullmatch(r"[1-9]\d*", given):
        raise SeqlmError(f"OMP_NUM_THREADS is {given!r}; it must be a number of threads")
    threads = cores if given is None else int(given)
    if threads > cores:
        logger.warning("OMP_NUM_THREADS is %d; there are %d usable cores, so %d compute", threads, cores, cores)
        threads = cores
    # Two of MXNet's threads compute, each with helper threads.
    wanted = MXNETS_OWN + 2 * (threads - 1)
    startable = startable_threads(wanted)
    if startable < MXNETS_OWN:
        raise SeqlmError(
            f"MXNet needs {MXNETS_OWN} more threads, and this process can start only {startable}; "
            "see ulimit -u, or the limit of the container"
        )
    if startable < wanted:
        logger.warning("this process can start only few more threads (see ulimit -u), so one thread computes")
        threads = 1
    os.environ["OMP_NUM_THREADS"] = str(threads)
