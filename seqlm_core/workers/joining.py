"""Joining the job that a process is part of."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator

from seqlm_core.errors import SeqlmError, TrainingInterrupted, UsageError
from seqlm_core.workers.environment import Job
from seqlm_core.workers.lifeline import follow_lifeline
from seqlm_core.workers.workers import ALONE, Workers

KVSTORES = ("dist_sync",)
JOIN_TIMEOUT, DEFAULT_JOIN_TIMEOUT = "SEQLM_JOIN_TIMEOUT", 120.0


@contextlib.contextmanager
def joined(kvstore: str | None) -> Iterator[Workers]:
    """Join the job that the environment describes, and give its workers; without a store this process is alone.

    A process that is a scheduler or a server serves until the job has ended, and ends then itself.

    Args:
        kvstore: ``dist_sync``, the parameter server of MXNet; None if there is a single process.

    Raises:
        UsageError: there is no such store, or the environment describes no job.
        SeqlmError: the other processes of the job did not join in time.
    """
    if kvstore is None:
        yield ALONE
        return
    if kvstore not in KVSTORES:
        raise UsageError(f"`kvstore` must be {' or '.join(KVSTORES)}, not {kvstore!r}")
    follow_lifeline()
    # ps-lite would listen at this port in every process of a machine, even where it is that of the scheduler.
    os.environ.pop("PORT", None)
    job = Job.of_environment()
    timeout = _join_timeout()
    from seqlm_core.workers.watch import Watch

    if job.role != "worker":
        _serve(job, timeout)
        sys.exit(0)
    watch = Watch(job, timeout)
    try:
        from seqlm_core.workers.parameter_server import ParameterServerWorkers

        workers = ParameterServerWorkers(watch, job.workers)
        try:
            yield workers
        except (TrainingInterrupted, SystemExit):  # with which all workers end
            workers.finished()
            raise
        workers.finished()
    except (TrainingInterrupted, SystemExit):
        raise
    except SeqlmError as error:
        watch.fail(str(error), error.exit_code)
        raise
    except BaseException as error:
        watch.fail(f"{type(error).__name__}: {error}", 1)
        raise


def _serve(job: Job, timeout: float) -> None:
    from seqlm_core.engine.serving import serve
    from seqlm_core.workers.watch import Watch, Watcher

    if job.role == "scheduler":
        try:
            socket.create_server(("", job.port)).close()
        except OSError as error:
            raise SeqlmError(f"port {job.port} of the scheduler cannot be used: {error.strerror}") from error
        Watcher(job, timeout)
        serve()
        return
    watch = Watch(job, timeout)
    serve()
    watch.leave()


def _join_timeout() -> float:
    text = os.environ.get(JOIN_TIMEOUT)
    try:
        seconds = DEFAULT_JOIN_TIMEOUT if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{JOIN_TIMEOUT} is {text!r}; it must be a number of seconds")
    return seconds
