"""MXNet as a scheduler or a server of its parameter server, which it becomes while it is imported."""

from __future__ import annotations

import os

from seqlm_core.engine.roles import allow_serving
from seqlm_core.errors import SeqlmError


def serve() -> None:
    """Be what ``DMLC_ROLE`` says, until the job ends.

    Raises:
        SeqlmError: it says neither ``scheduler`` nor ``server``, or MXNet cannot be loaded.
    """
    role = os.environ.get("DMLC_ROLE")
    if role not in ("scheduler", "server"):
        raise SeqlmError("only a scheduler or a server serves")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    allow_serving(role)
    try:
        import seqlm_core.engine.mxnet
    except SystemExit:  # which is how the import ends with the job
        return
    raise SeqlmError(f"{seqlm_core.engine.mxnet.mx.__name__} was loaded, and did not serve")
