"""How the processes of a job notice that one of them has died, wherever it runs.

Every process keeps a connection to the one with the scheduler, at the port after that of the parameter server. Who dies
loses the connection; whose machine is gone is silent. Then the scheduler tells all others, which end with an error that
names it. (The parameter server itself waits for ever.)

Lines of JSON are sent. By a process: its ``role``, ``title`` and the ``number`` that it wishes for when it joins; the
``facts`` that must be the same; ``null`` from time to time; and that it ``leaves``, or with what it ``fails``. By the
scheduler: the ``number`` of a process when all have joined, that the facts are the ``same``, ``null`` in answer to one,
and the ``error`` with which a process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from seqlm_core.errors import SeqlmError
from seqlm_core.workers.environment import Job

logger = logging.getLogger("seqlm")

SECONDS_BETWEEN_SIGNS = 3.0
SECONDS_OF_SILENCE = 15.0
"""A process that says nothing for so long is dead. With the time between signs this is less than 30 seconds."""
SECONDS_OF_GRACE = 0.5


def process_title(role: str, number: int | None = None) -> str:
    """Return what errors call this process."""
    numbered = role if number is None else f"{role} {number}"
    return f"{numbered} (process {os.getpid()} on {socket.gethostname()})"


def end_process(message: str, code: int) -> None:
    """End this process at once with an error, whatever its threads wait for."""
    logger.error("%s", message)
    _leave_at_once(code)


def _leave_at_once(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


class _Line:
    """A connection over which lines of JSON go."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(SECONDS_OF_SILENCE)
        self._file = connection.makefile("rb")
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:
        with self._lock:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def messages(self) -> Iterator[Any]:
        """Yield what is said, until the connection ends or is silent, which raises OSError."""
        while line := self._file.readline():
            yield json.loads(line)
        raise ConnectionError("closed")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Watch:
    """The connection of a worker or a server to the scheduler.

    Args:
        job: the job.
        join_timeout: how many seconds to wait for the scheduler, and then for all others.
        on_end: called with an error and an exit code when another process has died or failed.

    Raises:
        SeqlmError: the scheduler is not there in time, or not all others are.

    Attributes:
        number: the number of this process among those of its role.
    """

    def __init__(self, job: Job, join_timeout: float, on_end: Callable[[str, int], None] = end_process) -> None:
        self._on_end = on_end
        self._line = _Line(_connected(job, join_timeout))
        self._leaves = threading.Event()
        self._answers: dict[str, Any] = {}
        self._answered = threading.Condition()
        self._line.send({"role": job.role, "title": process_title(job.role), "number": job.number})
        for work in (self._listen, self._give_signs):
            threading.Thread(target=work, name="seqlm-watch", daemon=True).start()
        self.number = int(self._answer("number", join_timeout + SECONDS_OF_SILENCE))

    def check_same(self, facts: Mapping[str, str]) -> None:
        """Wait until all workers have told the same facts; if they differ, the job ends with an error."""
        self._line.send({"facts": dict(facts)})
        self._answer("same", None)

    def leave(self) -> None:
        """Say that this process ends as it should."""
        self._leaves.set()
        with contextlib.suppress(OSError):
            self._line.send({"leaves": True})

    def fail(self, error: str, exit_code: int) -> None:
        """Say that this process ends with an error, with which all others end, too."""
        if not self._leaves.is_set():
            self._leaves.set()
            if self.number:
                time.sleep(SECONDS_OF_GRACE)  # most errors are those of all workers, and the first one tells them best
            with contextlib.suppress(OSError):
                self._line.send({"fails": error, "code": exit_code})
            # The parameter server would wait for all others before this process can end.
            atexit.register(_leave_at_once, exit_code)

    def _answer(self, name: str, seconds: float | None) -> Any:
        with self._answered:
            if not self._answered.wait_for(lambda: name in self._answers, seconds):
                raise SeqlmError("the scheduler does not answer")
            return self._answers.pop(name)

    def _listen(self) -> None:
        try:
            for message in self._line.messages():
                if message and "error" in message and not self._leaves.is_set():
                    self._on_end(message["error"], message["code"])
                with self._answered:
                    self._answers.update(message or {})
                    self._answered.notify_all()
        except (OSError, ValueError):
            if not self._leaves.is_set():
                self._on_end("the scheduler died", 1)

    def _give_signs(self) -> None:
        while not self._leaves.wait(SECONDS_BETWEEN_SIGNS):
            try:
                self._line.send(None)
            except OSError:
                return


def _connected(job: Job, seconds: float) -> socket.socket:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection((job.host, job.watch_port), timeout=SECONDS_OF_SILENCE)
        except OSError as error:
            if time.monotonic() > deadline:
                raise SeqlmError(
                    f"the scheduler at {job.host}, port {job.watch_port}, cannot be reached within {seconds:g} s: "
                    f"{error.strerror or error}"
                ) from error
            time.sleep(0.2)


class Watcher:
    """The scheduler's side: it waits for all processes of a job, and tells them when one has died.

    Args:
        job: the job.
        join_timeout: how many seconds to wait until all have joined.
        on_end: called with an error and an exit code when a process has died or failed, after all others were told.

    Raises:
        SeqlmError: the port is in use.
    """

    def __init__(self, job: Job, join_timeout: float, on_end: Callable[[str, int], None] = end_process) -> None:
        self.job = job
        self._on_end = on_end
        self._lock = threading.RLock()
        self._lines: dict[str, _Line] = {}
        self._titles: dict[str, list[str | None]] = {"worker": [None] * job.workers, "server": [None] * job.servers}
        self._facts: dict[str, dict[str, str]] = {}
        self._left: set[str] = set()
        self._has_ended = False
        try:
            self._socket = socket.create_server(("", job.watch_port), backlog=job.workers + job.servers)
        except OSError as error:
            raise SeqlmError(f"port {job.watch_port} cannot be used: {error.strerror}") from error
        threading.Thread(target=self._accept, name="seqlm-watch", daemon=True).start()
        timer = threading.Timer(join_timeout, self._check_joined, args=(join_timeout,))
        timer.daemon = True
        timer.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), name="seqlm-watch", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        line, title = _Line(connection), ""
        try:
            for message in line.messages():
                if not message:
                    line.send(None)
                elif "role" in message:
                    title = self._join(message, line)
                elif "facts" in message:
                    self._compare(title, message["facts"])
                elif "leaves" in message or "fails" in message:
                    with self._lock:
                        self._left.add(title)
                        if "fails" in message:
                            self._end(f"{title}: {message['fails']}", message["code"])
        except (OSError, ValueError, KeyError):
            time.sleep(SECONDS_OF_GRACE)  # what others have sent before may be read after
            with self._lock:
                workers_left = self._left.issuperset(t for t in self._titles["worker"] if t is not None)
                if title and title not in self._left and not workers_left:
                    self._end(f"{title} died")
        finally:
            line.close()

    def _join(self, message: dict[str, Any], line: _Line) -> str:
        with self._lock:
            places = self._titles[message["role"]]
            wanted = message.get("number")
            free = [number for number, title in enumerate(places) if title is None]
            if not free or (wanted is not None and wanted not in free):
                line.send({"error": f"the job has all of its {len(places)} {message['role']}s already", "code": 1})
                return ""
            # Numbers that processes ask for are kept for them.
            number = wanted if wanted is not None else free[0]
            title = message["title"].replace(message["role"], f"{message['role']} {number}", 1)
            places[number] = title
            self._lines[title] = line
            if self._has_joined():
                for titles in self._titles.values():
                    for place, one in enumerate(titles):
                        self._lines[str(one)].send({"number": place})
            return str(title)

    def _has_joined(self) -> bool:
        return all(title is not None for titles in self._titles.values() for title in titles)

    def _check_joined(self, seconds: float) -> None:
        with self._lock:
            if self._has_joined():
                return
            missing = [
                f"{titles.count(None)} of {len(titles)} {role}s"
                for role, titles in self._titles.items()
                if None in titles
            ]
            there = [title for titles in self._titles.values() for title in titles if title is not None]
            came = f"; there are {', '.join(there)}" if there else ""
            self._end(f"{' and '.join(missing)} did not join within {seconds:g} s{came}")

    def _compare(self, title: str, facts: dict[str, str]) -> None:
        with self._lock:
            self._facts[title] = facts
            if len(self._facts) < self.job.workers:
                return
            (first, expected), *others = sorted(self._facts.items())
            for other, told in others:
                for name in {**expected, **told}:
                    one, another = expected.get(name), told.get(name)
                    if one != another:
                        self._end(f"the workers differ in {name}: {first} has {one}, {other} has {another}")
                        return
            self._facts.clear()
            for worker in self._titles["worker"]:
                self._lines[str(worker)].send({"same": True})

    def _end(self, error: str, code: int = 1) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        for line in self._lines.values():
            with contextlib.suppress(OSError):
                line.send({"error": error, "code": code})
        self._on_end(error, code)
