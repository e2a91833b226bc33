"""MXNet as a scheduler or a server of its parameter server, which it becomes while it is imported."""

from __future__ import annotations

import os
import warnings

from seqlm_core.engine.numpy_names import give_old_names
from seqlm_core.errors import SeqlmError


def serve() -> None:
    """Be what ``DMLC_ROLE`` says, until the job ends.

    Raises:
        SeqlmError: it says neither ``scheduler`` nor ``server``, or MXNet cannot be loaded.
    """
    if os.environ.get("DMLC_ROLE") not in ("scheduler", "server"):
        raise SeqlmError("only a scheduler or a server serves")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    give_old_names()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mxnet
    except SystemExit:  # which is how the import ends with the job
        return
    except (OSError, ImportError) as error:
        raise SeqlmError(f"MXNet cannot be loaded: {error}") from error
    raise SeqlmError(f"MXNet {mxnet.__version__} did not serve")
