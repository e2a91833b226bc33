"""Trainings with several processes on this machine: ``--workers``."""

from __future__ import annotations

import os
import sys

import click

from seqlm_core.engine.threads import usable_cores
from seqlm_core.errors import UsageError
from seqlm_core.workers.joining import KVSTORES
from seqlm_core.workers.local_job import run_local_job, this_command


def train_with_workers(context: click.Context) -> int:
    """Run this command again in several processes, and return the exit code.

    Args:
        context: of the command, with its options.

    Raises:
        UsageError: the processes cannot all read the text, or belong to a job already.
        SeqlmError: a process died.
    """
    given = context.params
    workers = given["workers"]
    if given["kvstore"] is not None:
        raise UsageError("--workers starts processes on this machine, and --kvstore joins those of a job; name one")
    if "-" in (*given["files"], *given["validation"]):
        raise UsageError("several workers cannot read standard input; write it to a file first")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // workers)))
    names = context.command_path.split()[1:]
    quiet = ["--quiet"] if given["quiet"] else []
    plugins = [argument for file in given["plugin_files"] for argument in ("--plugin", file)]

    def going_on(run: str) -> list[str]:
        return [*this_command(), *names, "--resume", run, "--kvstore", KVSTORES[0], *quiet, *plugins]

    return run_local_job([*this_command(), *_of_a_job(sys.argv[1:])], workers, given["restarts"], going_on)


def check_alone(restarts: int) -> None:
    """Raise :class:`UsageError` if a single process is to be started again."""
    if restarts:
        raise UsageError("--restarts is for trainings with --workers, of which there must be 2 at least")


def _of_a_job(arguments: list[str]) -> list[str]:
    """Return the arguments with ``--kvstore`` in the place of ``--workers``, and without ``--restarts``."""
    left: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if name in ("--workers", "--restarts"):
            if not equals:
                next(rest)
            left += ["--kvstore", KVSTORES[0]] if name == "--workers" else []
        elif argument == "--":
            left += [argument, *rest]
        else:
            left.append(argument)
    return left
