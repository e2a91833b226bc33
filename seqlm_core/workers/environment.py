"""The job that a process is part of, as its environment describes it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from seqlm_core.errors import UsageError

ROLES = ("scheduler", "server", "worker")
WATCH_PORT, NUMBER = "SEQLM_WATCH_PORT", "SEQLM_WORKER_NUMBER"
RUN_FILE = "SEQLM_RUN_FILE"
"""Of the leading worker: the file to which it writes where the run is."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A job of several processes.

    Attributes:
        role: what this process is: ``scheduler``, ``server`` or ``worker``.
        host: the machine of the scheduler.
        port: its port, which the parameter server uses.
        watch_port: the port at which the processes watch each other.
        workers: the number of workers.
        servers: the number of servers.
        number: the number that this worker asks for; None takes any.
    """

    role: str
    host: str
    port: int
    watch_port: int
    workers: int
    servers: int
    number: int | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Job:
        """Return the job that the environment describes.

        Raises:
            UsageError: a variable is missing, or its value cannot be used.
        """
        role = environment.get("DMLC_ROLE")
        if role not in ROLES:
            said = "is not set" if role is None else f"is {role!r}"
            raise UsageError(
                f"DMLC_ROLE {said}; a job of several processes needs {', '.join(ROLES[:-1])} or {ROLES[-1]}"
            )
        host = environment.get("DMLC_PS_ROOT_URI")
        if not host:
            raise UsageError("DMLC_PS_ROOT_URI is not set; it is the address of the scheduler's machine")
        port = _number(environment, "DMLC_PS_ROOT_PORT", 1, 65535)
        workers = _number(environment, "DMLC_NUM_WORKER", 1, 100_000)
        return cls(
            role=role,
            host=host,
            port=port,
            watch_port=_number(environment, WATCH_PORT, 1, 65535) if WATCH_PORT in environment else port + 1,
            workers=workers,
            servers=_number(environment, "DMLC_NUM_SERVER", 1, 100_000),
            number=_number(environment, NUMBER, 0, workers - 1) if NUMBER in environment and role == "worker" else None,
        )


def _number(environment: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = environment.get(name)
    if text is None:
        raise UsageError(f"{name} is not set, and a job of several processes needs it")
    if not text.isdecimal() or not least <= int(text) <= most:
        raise UsageError(f"{name} is {text!r}; it must be a whole number from {least} to {most}")
    return int(text)
