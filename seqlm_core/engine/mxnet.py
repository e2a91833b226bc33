"""The one place where MXNet is imported: ``from seqlm_core.engine.mxnet import autograd, gluon, mx, nd``.

MXNet 1.9.1 needs NumPy's old aliases and a thread count; the import takes about a second, so modules of plugins
and commands that do not compute with it leave it alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator

import numpy as np

from seqlm_core.engine.threads import settle_threads
from seqlm_core.errors import SeqlmError

_REMOVED_NUMPY_ALIASES = {
    "bool": bool,
    "int": int,
    "float": float,
    "object": object,
    "complex": complex,
    "str": str,
}
_DEBIAN_PACKAGES = {"libgomp": "libgomp1", "libquadmath": "libquadmath0", "libgfortran": "libgfortran5"}


def _loading_error(error: Exception) -> SeqlmError:
    found = re.search(r"(lib\w+)\.so\S*: cannot open shared object", str(error))
    if not found:
        return SeqlmError(f"MXNet cannot be loaded: {error}")
    package = _DEBIAN_PACKAGES.get(found[1], found[1])
    return SeqlmError(
        f"MXNet needs the system library {found[1]}, which is missing; "
        f"install it, on Debian and Ubuntu with: apt-get install {package}"
    )


# By itself MXNet takes half of the processors.
settle_threads()
# Copies of large arrays would otherwise run on threads of the calling thread's own, beside those of MXNet's worker.
# Then there are more threads than processors, OpenMP no longer lets them spin while they wait for each other, and every
# step takes twice as long (measured: 12 ms became 24 ms for an LSTM of 256 units from the first checkpoint on).
os.environ.setdefault("MXNET_CPU_PARALLEL_SIZE", str(2**31 - 1))
# How long a thread of OpenMP spins while it waits for the others. Its own default is so long that two trainings at a
# time on the same processors hinder each other badly (20 s each instead of 1 s). So, two share; one alone takes some
# 15 % longer with 100 units, and no longer with 256.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "500")
# With such a role the import never returns: it serves.
if os.environ.get("DMLC_ROLE") in ("server", "scheduler"):
    raise SeqlmError(f"DMLC_ROLE is {os.environ['DMLC_ROLE']!r}, which makes MXNet serve and never return; unset it")
if sys.flags.optimize > 1:
    raise SeqlmError("MXNet cannot be loaded without docstrings; unset PYTHONOPTIMIZE, or start Python without -OO")
for _name, _type in _REMOVED_NUMPY_ALIASES.items():
    if _name not in vars(np):
        setattr(np, _name, _type)

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, which would be errors where a user makes errors of warnings
        import mxnet as mx
        from mxnet import autograd, gluon, nd
except (OSError, ImportError) as error:
    raise _loading_error(error) from error

__all__ = ["autograd", "compute_device", "drained", "gluon", "mx", "nd", "readable_failures"]


@contextlib.contextmanager
def drained() -> Iterator[None]:
    """Leave MXNet with nothing to do and no error that it has not told, whatever is raised meanwhile.

    It tells of an error when something waits for what failed. Without this that may be whatever the process does next.

    Raises:
        mxnet.MXNetError: what failed meanwhile, if nothing else is raised.
    """
    try:
        yield
        nd.waitall()
    finally:
        with contextlib.suppress(mx.MXNetError):  # the first error is what has to be told
            nd.waitall()


@contextlib.contextmanager
def readable_failures() -> Iterator[None]:
    """Turn MXNet's own failures, and lack of memory, into errors of one line, and leave none behind.

    Everything that computes with MXNet on behalf of a user runs in it.

    Raises:
        SeqlmError: with the line of MXNet's message that tells something; of an operator of ours, its own words.
    """
    try:
        with drained():
            yield
    except MemoryError as error:
        raise SeqlmError("there is not enough memory for a model of this size") from error
    except mx.MXNetError as error:
        raise SeqlmError(_told(str(error))) from error


def _told(message: str) -> str:
    own_words = re.findall(r"^\s*\[\d+\] \S+\[\d+\]: (.*)", message, re.MULTILINE)  # the last is the newest
    if own_words:
        return str(own_words[-1])
    lines = [line.strip() for line in message.splitlines()]
    told = next((line for line in lines if line.startswith(("MXNetError", "Error"))), lines[-1])
    return f"MXNet cannot do this: {told}"


def compute_device(name: str) -> mx.Context:
    """Return the MXNet context for ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.

    Raises:
        SeqlmError: that GPU is not there, or this MXNet cannot use any.
    """
    if name == "cpu":
        return mx.cpu()
    count = mx.context.num_gpus()
    if name == "auto":
        return mx.gpu() if count else mx.cpu()
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        found = f"{count} found" if count else "none found, or this MXNet is built without CUDA"
        raise SeqlmError(f"`device` {name} is not there ({found}); use `device` cpu")
    return mx.gpu(index)
