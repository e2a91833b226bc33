"""Whether MXNet is installed, and what users read where something needs it and it is not."""

from __future__ import annotations

import functools
import importlib.util
import platform
import sys

from seqlm_core.errors import SeqlmError


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
    return SeqlmError(f"{what} needs MXNet, which is not installed; {_how_to_install()}")


def _how_to_install() -> str:
    has_wheel = sys.platform == "linux" or (sys.platform == "darwin" and platform.machine() == "x86_64")
    if not has_wheel:
        return (
            f"there is none for {platform.system()} on {platform.machine()}. Train on Linux, and use the run here: "
            "docs/without-mxnet.md says what works without MXNet"
        )
    # By its own metadata MXNet does not go with NumPy 2, which Python 3.13 needs.
    command = "pip install --no-deps" if sys.version_info >= (3, 13) else "pip install"
    return f"install it with: {command} mxnet==1.9.1"
