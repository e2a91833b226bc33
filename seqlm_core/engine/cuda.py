"""What is known of MXNet's CUDA builds: the libraries that they need, the GPUs that they are for, and what goes wrong.

The facts were read from the wheels ``mxnet-cu112`` and ``mxnet-cu117`` of 1.9.1: the names of the libraries from the
dynamic section of ``libmxnet.so``, the GPUs from its fat binaries. Nothing here imports MXNet.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

WHEEL = "mxnet-cu117"
"""The newest of MXNet's CUDA builds."""
HOW_TO_INSTALL = f"pip uninstall -y mxnet && pip install {WHEEL}==1.9.1"
OLDEST_DRIVER = "450.80"
"""The oldest driver that CUDA 11 works with."""
NEWEST_CAPABILITY = "8.9"
"""The wheels hold machine code for compute capability 5.0, 6.0, 7.0, 8.0 and 8.6, which runs on 5.x to 8.x, and no PTX
that a driver could translate for newer GPUs."""


class Library(NamedTuple):
    """A library of CUDA that MXNet needs.

    Attributes:
        file: the name by which MXNet asks for it.
        package: the pip package that has it.
        folder: the folder of the package within ``nvidia``.
        before: the name of a library of the same package that has to be loaded before it.
    """

    file: str
    package: str
    folder: str
    before: str | None = None


# In an order in which each library comes after those that it needs itself.
LIBRARIES = (
    Library("libcudart.so.11.0", "nvidia-cuda-runtime-cu11", "cuda_runtime"),
    Library("libnvrtc.so.11.2", "nvidia-cuda-nvrtc-cu11", "cuda_nvrtc"),
    Library("libnvToolsExt.so.1", "nvidia-nvtx-cu11", "nvtx"),
    Library("libcublas.so.11", "nvidia-cublas-cu11", "cublas", "libcublasLt.so.11"),
    Library("libcufft.so.10", "nvidia-cufft-cu11", "cufft"),
    Library("libcurand.so.10", "nvidia-curand-cu11", "curand"),
    Library("libcusparse.so.11", "nvidia-cusparse-cu11", "cusparse"),
    Library("libcusolver.so.11", "nvidia-cusolver-cu11", "cusolver"),
    Library("libcudnn.so.8", "nvidia-cudnn-cu11<9", "cudnn"),
    Library("libnccl.so.2", "nvidia-nccl-cu11", "nccl"),
)
DRIVER = "libcuda.so.1"

_FAILURES = {
    r"out of memory|STATUS_ALLOC_FAILED": (
        "the memory of the GPU is too small for this; try a smaller `batch_size`, `sequence_length` or `hidden_size`, "
        "or `device` cpu"
    ),
    r"no kernel image is available|invalid device function|STATUS_ARCH_MISMATCH": (
        "this GPU cannot run MXNet 1.9.1, whose CUDA builds have code for GPUs of compute capability 5.0 to "
        f"{NEWEST_CAPABILITY}; use `device` cpu"
    ),
    r"unsupported toolchain|[Uu]nsupported PTX": (
        "the driver of the GPU is too old for what MXNet compiles; install a newer one, or set MXNET_USE_FUSION=0, "
        "with which it compiles nothing"
    ),
    r"driver version is insufficient": (
        "the driver of the GPU is too old for this build of MXNet; install a newer one, or use `device` cpu"
    ),
    r"devices are busy or unavailable": (
        "the GPU is in use by a program that does not share it; wait for it, name another one, as in `device` gpu:1, "
        "or use `device` cpu"
    ),
}


def installed_wheel() -> str | None:
    """Return the name of the CUDA build of MXNet that is installed, such as ``mxnet-cu117``; None if none is."""
    spec = find_spec("mxnet")
    if spec is None or spec.origin is None:
        return None
    described = Path(spec.origin).parents[1].glob("mxnet_cu[0-9]*.dist-info")
    return next((f"mxnet-{folder.name.split('-')[0][len('mxnet_') :]}" for folder in described), None)


def load_libraries() -> None:
    """Load NVIDIA's pip packages of CUDA for MXNet, which would look for their libraries in the system's folders alone.

    Without a CUDA build of MXNet, or without these packages, this does nothing.
    """
    packages = find_spec("nvidia") if installed_wheel() else None
    for root in (packages and packages.submodule_search_locations) or ():
        for library in LIBRARIES:
            for name in filter(None, (library.before, library.file)):
                with contextlib.suppress(OSError):  # MXNet says what is missing
                    ctypes.CDLL(str(Path(root, library.folder, "lib", name)), mode=ctypes.RTLD_GLOBAL)


def missing_library(error: str) -> str | None:
    """Return what to do about a library that MXNet could not load; None if the error is of no library of CUDA.

    Args:
        error: the message of the system's loader.
    """
    found = re.search(r"(lib\w+\.so\S*): cannot open shared object", error)
    file = found[1] if found else ""
    name = file.split(".so")[0]
    if file == DRIVER:
        return (
            f"this MXNet ({installed_wheel()}) needs the driver of an NVIDIA GPU ({DRIVER}), which is missing; install "
            "it, give the container the GPU, or take the MXNet for processors: "
            f"pip uninstall -y mxnet {installed_wheel()} && pip install mxnet==1.9.1"
        )
    if name not in {library.file.split(".so")[0] for library in LIBRARIES}:
        return None
    packages = " ".join(
        f"'{library.package}'" if "<" in library.package else library.package
        for library in LIBRARIES
        if library.file.split(".so")[0] == name or not _can_be_loaded(library.file)
    )
    return (
        f"this MXNet ({installed_wheel()}) needs {file} of CUDA, which is missing; install it: pip install {packages}"
    )


def _can_be_loaded(file: str) -> bool:
    try:
        ctypes.CDLL(file)
    except OSError:
        return False
    return True


def failure(message: str) -> str | None:
    """Return in one line what went wrong on a GPU, and what to do; None if MXNet's message is of something else."""
    return next((told for pattern, told in _FAILURES.items() if re.search(pattern, message)), None)
