"""The device that computes, chosen by the setting ``device``."""

from __future__ import annotations

import logging

from seqlm_core.engine import cuda
from seqlm_core.engine.mxnet import mx, nd, readable_failures
from seqlm_core.errors import SeqlmError

logger = logging.getLogger("seqlm")


def compute_device(name: str, worker: int = 0) -> mx.Context:
    """Return the MXNet context for ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.

    ``auto`` is a GPU if there is one that computes. Of several, each worker of a job takes another one, as far as there
    are enough.

    Args:
        name: the device.
        worker: the number of this worker, from 0.

    Raises:
        SeqlmError: this GPU is missing or does not compute, or this build of MXNet cannot use GPUs.
    """
    if name == "cpu":
        return mx.cpu()
    with readable_failures():
        count = mx.context.num_gpus()
    if name == "auto" and not count:
        return mx.cpu()
    asked = name.partition(":")[2]
    index = int(asked) if asked else worker % max(count, 1)
    if index >= count:
        raise SeqlmError(f"`device` {name} is not there ({_found(count)}); use `device` cpu")
    device = mx.gpu(index)
    try:
        _try(device)
    except SeqlmError as error:
        if name != "auto":
            raise
        logger.warning("%s is there, and cannot be used, so the CPU computes: %s", device, error)
        return mx.cpu()
    return device


def _found(count: int) -> str:
    if count:
        return f"{count} found"
    wheel = cuda.installed_wheel()
    if not mx.runtime.Features().is_enabled("CUDA"):
        if wheel is not None:
            again = f"pip uninstall -y mxnet {wheel} && pip install {wheel}==1.9.1"
            return f"the MXNet for CPUs was installed over {wheel}; for GPUs: {again}"
        return f"this MXNet is for CPUs alone; for GPUs: {cuda.HOW_TO_INSTALL}"
    return f"{wheel} finds none; see whether nvidia-smi shows one, with a driver from {cuda.OLDEST_DRIVER} on"


def _try(device: mx.Context) -> None:
    """Raise :class:`SeqlmError` unless the device computes.

    A GPU may be one that this build has no code for, which nothing says before something is computed.
    """
    with readable_failures():
        (nd.zeros(1, ctx=device) + 1).asnumpy()
