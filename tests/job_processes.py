"""The processes of a job with several workers, found by what their environments say. Linux only."""

from __future__ import annotations

import contextlib
from pathlib import Path


def processes_of(parent: int) -> dict[str, int]:
    """Return the children of a process by their roles, such as ``worker 0`` and ``server``."""
    found = {}
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(OSError):
            pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
            variables = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            if "DMLC_ROLE" in variables:
                found[f"{variables['DMLC_ROLE']} {variables.get('SEQLM_WORKER_NUMBER', '')}".strip()] = int(pid)
    return found


def is_running(pid: int) -> bool:
    """Whether a process is there, and is not only waiting for its parent to notice its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
