"""The native libraries, which are used where they could be built."""

from __future__ import annotations

import ctypes
import logging
import os
from pathlib import Path

logger = logging.getLogger("seqlm")


def load(path: Path, function: str, interface: int, otherwise: str) -> ctypes.CDLL | None:
    """Return a library; None where it was not built, or, with a warning, cannot be used.

    Args:
        path: of its file.
        function: of the library, which returns the number of its interface: it may have been built from other sources.
        interface: the number that is wanted.
        otherwise: for the warning, what is done without it.
    """
    if not path.exists():
        return None
    try:
        library = ctypes.CDLL(os.fspath(path))
        found = getattr(library, function)()
    except (OSError, AttributeError) as error:
        logger.warning("a native library cannot be used, and %s: %s", otherwise, error)
        return None
    if found != interface:
        logger.warning("%s was built from other sources, and %s; install seqlm again", path, otherwise)
        return None
    return library
