"""Whether MXNet is installed, and what users read where something needs it and it is not."""

from __future__ import annotations

import functools
import importlib.util
import platform
import sys

from seqlm_core.errors import SeqlmError

RELEASE = "mxnet==1.9.1"


@functools.cache
def has_mxnet() -> bool:
    """Whether MXNet is installed. It is not imported, so it may still turn out that it cannot be loaded."""
    try:
        return importlib.util.find_spec("mxnet") is not None
    except (ImportError, ValueError):  # whoever forbids the import may raise either
        return False


def missing_mxnet(what: str) -> SeqlmError:
    """Return the error that something needs MXNet, which is not installed.

    Args:
        what: what needs it, the beginning of a sentence.
    """
    return SeqlmError(f"{what} needs MXNet, which is not installed; {how_to_install_mxnet()}")


def how_to_install_mxnet() -> str:
    """Return how MXNet is installed on this platform, by this Python; or that there is no build for it."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) not in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "x86_64")):
        return f"there is no build of it for {system} on {machine}; train on Linux (x86-64), and use the run here"
    # Its metadata ask for numpy<2, which no release of NumPy for Python 3.13 is.
    command = "pip install --no-deps" if sys.version_info >= (3, 13) else "pip install"
    return f"install it with: {command} {RELEASE}"
