"""Whether MXNet is installed, and what users read where something needs it and it is not."""

from __future__ import annotations

import functools
import importlib.util

from seqlm_core.engine.installation import how_to_install_mxnet
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
    return SeqlmError(f"{what} needs MXNet, which is not installed; {how_to_install_mxnet()}")
