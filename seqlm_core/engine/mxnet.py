"""The one place where MXNet is imported: ``from seqlm_core.engine.mxnet import autograd, gluon, mx, nd``.

MXNet 1.9.1 needs names that NumPy has removed, and a number of threads. The import takes about a second, so modules of
plugins do not import it, and neither do commands that do not compute with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator

from seqlm_core.engine import cuda
from seqlm_core.engine.availability import missing_mxnet
from seqlm_core.engine.numpy_of_mxnet import give_numpy_to_mxnet
from seqlm_core.engine.roles import may_serve
from seqlm_core.engine.threads import settle_threads
from seqlm_core.errors import SeqlmError

_DEBIAN_PACKAGES = {"libgomp": "libgomp1", "libquadmath": "libquadmath0", "libgfortran": "libgfortran5"}
_ARM_LIBRARIES = {"libarmpl_lp64_mp", "libamath", "libastring"}  # what the build for 64-bit ARM needs besides


def _loading_error(error: Exception) -> SeqlmError:
    if isinstance(error, ModuleNotFoundError) and error.name == "mxnet":
        return missing_mxnet("this")
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        return SeqlmError(f"MXNet needs the package {error.name}; install it with: pip install {error.name}")
    found = re.search(r"(lib\w+)\.so\S*: cannot open shared object", str(error))
    if not found:
        return SeqlmError(f"MXNet cannot be loaded: {error}")
    of_cuda = cuda.missing_library(str(error))
    if of_cuda is not None:
        return SeqlmError(of_cuda)
    if found[1] in _ARM_LIBRARIES:
        return SeqlmError(
            f"MXNet needs the library {found[1]}, which is missing; it belongs to the Arm Performance Libraries, which "
            "have to be installed and found (LD_LIBRARY_PATH)"
        )
    package = _DEBIAN_PACKAGES.get(found[1], found[1])
    return SeqlmError(
        f"MXNet needs the system library {found[1]}, which is missing; "
        f"install it, on Debian and Ubuntu with: apt-get install {package}"
    )


# Without OMP_NUM_THREADS, MXNet uses half of the processors.
settle_threads()
# Without this limit, MXNet copies large arrays with a second team of threads, which belong to the calling thread. Then
# there are more threads than processors. OpenMP no longer lets them spin while they wait for each other, and every step
# takes twice as long (measured: 24 ms instead of 12 ms for an LSTM of 256 units, from the first checkpoint on).
os.environ.setdefault("MXNET_CPU_PARALLEL_SIZE", str(2**31 - 1))
# How long a thread of OpenMP spins while it waits for the others. The default is so long that two trainings on the same
# processors hinder each other badly (20 s each instead of 1 s). With this value two trainings share the processors. A
# training alone takes about 15 % longer with 100 units, and as long as before with 256 units.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "500")
# With such a role, MXNet becomes a server while it is imported, and the import never returns.
if os.environ.get("DMLC_ROLE") in ("server", "scheduler") and not may_serve():
    raise SeqlmError(
        f"DMLC_ROLE is {os.environ['DMLC_ROLE']!r}, which makes MXNet a server for ever; unset it, or train with "
        "`kvstore` dist_sync"
    )
if sys.flags.optimize > 1:
    raise SeqlmError("MXNet cannot be loaded without docstrings; unset PYTHONOPTIMIZE, or start Python without -OO")

give_numpy_to_mxnet()
try:
    cuda.load_libraries()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MXNet, since users may turn warnings into errors
        import mxnet as mx
        from mxnet import autograd, gluon, nd
except (OSError, ImportError) as error:
    raise _loading_error(error) from error

__all__ = ["autograd", "drained", "gluon", "mx", "nd", "readable_failures"]


@contextlib.contextmanager
def drained() -> Iterator[None]:
    """Wait at the end of the block until MXNet has done all that is queued, so that no error of the block comes later.

    MXNet raises an error only when something waits for the result that failed. Without this function, the error could
    be raised by any later computation of the process.

    Raises:
        mxnet.MXNetError: a computation of the block failed, and the block itself raised nothing.
    """
    try:
        yield
        nd.waitall()
    finally:
        with contextlib.suppress(mx.MXNetError):  # only the first error matters
            nd.waitall()


@contextlib.contextmanager
def readable_failures() -> Iterator[None]:
    """Turn errors of MXNet and lack of memory within the block into errors of one line.

    Everything that computes with MXNet for a user runs in such a block. No error of the block comes later.

    Raises:
        SeqlmError: MXNet failed. The message is the useful line of MXNet's message, that of a native operator, or what
            is known of such a failure of a GPU.
    """
    try:
        with drained():
            yield
    except MemoryError as error:
        raise SeqlmError("there is not enough memory for a model of this size") from error
    except mx.MXNetError as error:
        raise SeqlmError(cuda.failure(str(error)) or _useful_line(str(error))) from error


def _useful_line(message: str) -> str:
    of_native_operator = re.search(r"^Extension Traceback:\s+\[0\] (.*)", message, re.MULTILINE)
    if of_native_operator:
        return of_native_operator[1]
    lines = [line.strip() for line in message.splitlines()]
    useful = next((line for line in lines if line.startswith(("MXNetError", "Error"))), lines[-1])
    return f"MXNet cannot do this: {useful}"
