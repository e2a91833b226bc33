"""How many threads compute: ``OMP_NUM_THREADS``, as far as there are cores and the system lets there be threads."""

from __future__ import annotations

import logging
import os
import re
import threading

from seqlm_core.errors import SeqlmError

logger = logging.getLogger("seqlm")

# Those that MXNet makes for itself. If it cannot have them, it ends the process or waits for ever.
MXNETS_OWN = 5


def usable_cores() -> int:
    """Return the number of processors on which this process may run."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def startable_threads(wanted: int) -> int:
    """Return how many more threads the system lets this process have, ``wanted`` at most."""
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
    """Make ``OMP_NUM_THREADS``, by which MXNet goes once it is imported, a number of threads that there can be.

    Raises:
        SeqlmError: it is no number, or the system does not even let MXNet have the threads that it cannot do without.
    """
    given = os.environ.get("OMP_NUM_THREADS")
    cores = usable_cores()
    if given is not None and not re.fullmatch(r"[1-9]\d*", given):
        raise SeqlmError(f"OMP_NUM_THREADS is {given!r}; it must be a number of threads")
    threads = cores if given is None else int(given)
    if threads > cores:
        logger.warning("OMP_NUM_THREADS is %d; there are %d usable cores, so %d compute", threads, cores, cores)
        threads = cores
    # Two threads of MXNet's compute with helpers of their own.
    wanted = MXNETS_OWN + 2 * (threads - 1)
    startable = startable_threads(wanted)
    if startable < MXNETS_OWN:
        raise SeqlmError(
            f"MXNet needs {MXNETS_OWN} more threads, and the system lets this process have {startable}; "
            "see ulimit -u, or the limit of the container"
        )
    if startable < wanted:
        logger.warning("the system lets this process have few more threads (see ulimit -u), so one computes")
        threads = 1
    os.environ["OMP_NUM_THREADS"] = str(threads)
