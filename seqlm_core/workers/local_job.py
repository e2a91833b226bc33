"""Jobs of several processes on this machine: they are started, watched, and end together."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from seqlm_core.engine.system import IS_POSIX
from seqlm_core.errors import SeqlmError
from seqlm_core.workers.environment import NUMBER, RUN_FILE, WATCH_PORT
from seqlm_core.workers.lifeline import Lifeline

logger = logging.getLogger("seqlm")

HOST = "127.0.0.1"
SECONDS_TO_END = 20.0
"""How long the others have to end by themselves when a process of the job has ended with an error."""
FIRST_PORT, LAST_PORT = 20_000, 32_000


class LocalJob:
    """A scheduler, a server and workers on this machine. They end with this process, however it ends.

    Args:
        command: the command of every process, which joins the job that its environment describes.
        workers: the number of workers. The first has the standard streams of this process; what the others write goes
            to files.
        logs: the folder of these files.

    Attributes:
        run_file: the file to which the first worker writes where the run is.
        has_crashed: whether a process was killed, or crashed.
    """

    def __init__(self, command: Sequence[str], workers: int, logs: Path) -> None:
        port, watch_port = _free_ports()
        self.run_file = logs / "run"
        self.logs = logs
        self.has_crashed = False
        self._environment = {
            **os.environ,
            "DMLC_PS_ROOT_URI": HOST,
            "DMLC_PS_ROOT_PORT": str(port),
            "DMLC_NUM_WORKER": str(workers),
            "DMLC_NUM_SERVER": "1",
            "DMLC_INTERFACE": "lo",
            "DMLC_NODE_HOST": HOST,
            WATCH_PORT: str(watch_port),
            RUN_FILE: str(self.run_file),
        }
        self._lifeline = Lifeline()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for role in ("scheduler", "server"):
                self._start(role, command, {"DMLC_ROLE": role}, logs / f"{role}.txt")
            for number in range(workers):
                log = logs / f"worker {number}.txt" if number else None
                self._start(f"worker {number}", command, {"DMLC_ROLE": "worker", NUMBER: str(number)}, log)
        except BaseException:
            self.kill()
            raise

    def wait(self) -> int:
        """Wait until all processes have ended, and return the exit code of the job: that of its first worker.

        Raises:
            SeqlmError: a process was killed, or ended with an error that the first worker did not tell.
        """
        with self._forwarded_signals():
            ended = self._first_failure()
            if ended is not None:
                self._wait_for_others()
        leader = self._processes["worker 0"].poll()
        self.has_crashed = any((process.poll() or 0) < 0 for process in self._processes.values())
        self.kill()
        if ended is None or (leader is not None and leader > 0):
            return leader or 0
        code = self._processes[ended].returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        said = _last_line(self.logs / f"{ended}.txt")
        raise SeqlmError(f"{ended} {how}" + (f": {said}" if said else ""))

    def kill(self) -> None:
        """Kill what still runs."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
        for process in self._processes.values():
            process.wait()
        self._lifeline.close()

    def _start(self, name: str, command: Sequence[str], variables: dict[str, str], log: Path | None) -> None:
        with open(log, "wb") if log else contextlib.nullcontext() as file:
            self._processes[name] = subprocess.Popen(
                command,
                env={**self._environment, **self._lifeline.environment, **variables},
                pass_fds=(self._lifeline.reader,),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT if file else None,
                preexec_fn=_end_with_parent,
            )

    def _first_failure(self) -> str | None:
        """Wait until all have ended, or until one has failed, and return its name."""
        while True:
            codes = {name: process.poll() for name, process in self._processes.items()}
            for name, code in codes.items():
                if code:
                    return name
            if all(code is not None for code in codes.values()):
                return None
            time.sleep(0.1)

    def _wait_for_others(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_END
        while time.monotonic() < deadline and any(process.poll() is None for process in self._processes.values()):
            time.sleep(0.1)

    @contextlib.contextmanager
    def _forwarded_signals(self) -> Iterator[None]:
        """Send signals to the first worker, which makes all of them stop."""

        def forward(number: int, frame: FrameType | None) -> None:
            leader = self._processes["worker 0"]
            if leader.poll() is None:
                leader.send_signal(number)

        heard = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        before: dict[int, Any] = {
            number: signal.signal(number, forward) for number in heard if signal.getsignal(number) != signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_local_job(command: Sequence[str], workers: int, restarts: int, going_on: Callable[[str], Sequence[str]]) -> int:
    """Run a job on this machine, and return its exit code.

    Args:
        command: as for :class:`LocalJob`.
        workers: the number of workers.
        restarts: how often to begin again from the run's last checkpoint after a process has crashed.
        going_on: a function of a run that returns the command that goes on with it.

    Raises:
        SeqlmError: a process was killed, or ended with an error that the first worker did not tell; or the system
            cannot end such processes together.
    """
    if not IS_POSIX:
        raise SeqlmError("several workers train on Linux and macOS alone; train with one process here")
    for left in range(restarts, -1, -1):
        with tempfile.TemporaryDirectory(prefix="seqlm-workers-") as logs:
            job = LocalJob(command, workers, Path(logs))
            error, code = None, 1
            try:
                code = job.wait()
            except SeqlmError as raised:
                error = raised
            run = job.run_file.read_text(encoding="utf-8") if job.run_file.exists() else None
        if left and run is not None and job.has_crashed:
            logger.warning(
                "%s; the training begins again from its last checkpoint, and can do so %d more times",
                error or "a process of the training crashed",
                left - 1,
            )
            command = going_on(run)
        elif error is not None:
            raise error
        else:
            return code
    raise AssertionError("the last turn has an end")


def this_command() -> list[str]:
    """Return the beginning of a command that runs ``seqlm`` as this process runs it."""
    return [
        sys.executable,
        "-c",
        "import sys; sys.path[:] = filter(None, sys.path); from seqlm_entry import main; main()",
    ]


def _end_with_parent() -> None:
    """Make this process a group of its own, which Ctrl-C in the terminal does not reach, and end it with its parent.

    Where there is no Linux, it ends by its lifeline alone.
    """
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _free_ports() -> tuple[int, int]:
    """Return two ports of this machine that nobody uses, outside of those that systems give to connections."""
    found: list[int] = []
    for port in random.sample(range(FIRST_PORT, LAST_PORT), 200):
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind((HOST, port))
            found.append(port)
        if len(found) == 2:
            return found[0], found[1]
    raise SeqlmError(f"no two ports from {FIRST_PORT} to {LAST_PORT} are free")


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1].removeprefix("seqlm: error: ") if lines else ""
    return ""
