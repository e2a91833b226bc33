"""The processes of the contestants."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training_speed.contestant import PEERS
from training_speed.model import counted

SCRIPT = Path(__file__).resolve().parents[1] / "training.py"
OWN_THREADS = ["JAX", "Keras"]
"""Who makes threads for every core that it may use, whatever it is told."""


def command(name: str, pythons: Mapping[str, str], *arguments: object) -> list[str]:
    """Return the command that runs this program in the environment of a contestant."""
    return [pythons.get(name, sys.executable), str(SCRIPT), *map(str, arguments)]


def environment(name: str, threads: int) -> dict[str, str]:
    """Return the environment variables of a process of a contestant."""
    dropped = {"SEQLM_NATIVE", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "XLA_FLAGS"}
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    kept.update(OMP_NUM_THREADS=str(threads), TF_CPP_MIN_LOG_LEVEL="3", JAX_PLATFORMS="cpu", KERAS_BACKEND="tensorflow")
    if name == "MXNet fused":
        kept["SEQLM_NATIVE"] = "0"
    if name == "JAX":
        is_several = str(threads > 1).lower()
        kept["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={is_several} intra_op_parallelism_threads={threads}"
    return kept


class Worker:
    """A process of one contestant.

    Args:
        name: of the contestant.
        threads: that it computes with.
        confined: whether it is kept on so many cores too.
        pythons: of the contestants that have an environment of their own.
    """

    def __init__(self, name: str, threads: int, confined: bool, pythons: Mapping[str, str]) -> None:
        self.name = name
        self.threads = threads
        cores = threads if confined or name in OWN_THREADS else 0
        self._process = subprocess.Popen(
            command(name, pythons, "--serve", name, threads, cores),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(name, threads),
        )

    def ask(self, what: str, **values: Any) -> Any:
        """Return the answer to a request."""
        try:
            self._process.stdin.write(json.dumps({"do": what, **values}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            sys.exit(f"The process of {self.name} with {counted(self.threads, 'thread')} died at: {what} {values}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def workers_of(
    names: Sequence[str], threads: Sequence[int], confined: bool, pythons: Mapping[str, str]
) -> Iterator[list[Worker]]:
    """Start a process for each contestant and number of threads; peers are tried with one thread in any case."""
    keys = [(name, n) for n in sorted({1, *threads}) for name in names if n in threads or name in PEERS]
    workers: list[Worker] = []
    try:
        for name, n in keys:
            workers.append(Worker(name, n, confined, pythons))
            workers[-1].ask("versions")  # one after the other
        yield workers
    finally:
        for worker in workers:
            worker.close()
