"""Loading the native libraries, which are used if they could be built."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger("seqlm")

LIBRARY_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
"""What the names of shared libraries end with on this platform. setup.py builds the libraries under these names."""

Functions = Mapping[str, tuple[Any, Sequence[Any]]]
"""For each function of a library: the type of its result, and the types of its arguments."""

_FUNCTIONS: Functions = {"seqlm_instruction_set": (ctypes.c_char_p, [ctypes.c_size_t])}


def library_path(name: str) -> Path:
    """Return the path of the library ``generation`` or ``training``. It need not exist."""
    return Path(__file__).with_name(f"libseqlm_{name}{LIBRARY_SUFFIX}")


def is_switched_off() -> bool:
    """Whether the user has switched the libraries off: ``SEQLM_NATIVE`` is 0."""
    return os.environ.get("SEQLM_NATIVE") == "0"


def load(path: Path, interface: int, functions: Functions, otherwise: str) -> ctypes.CDLL | None:
    """Return a library. Return None if it was not built, and None with a warning if it cannot be used.

    Args:
        path: the file of the library.
        interface: the version of the interface that is needed. The library may have been built from other sources.
        functions: the functions of this interface.
        otherwise: what is done without the library, for the warning.
    """
    if not path.exists():
        return None
    try:
        library = ctypes.CDLL(os.fspath(path))
    except OSError as error:
        logger.warning("a native library cannot be used, and %s: %s", otherwise, error)
        return None
    if not hasattr(library, "seqlm_interface") or library.seqlm_interface() != interface:
        logger.warning("%s was built from other sources, and %s; install seqlm again", path, otherwise)
        return None
    _declare(library, {**_FUNCTIONS, **functions})
    return library


def instruction_sets(library: ctypes.CDLL) -> list[str]:
    """Return the names of the instruction sets that the library supports and the processor has, the slowest first."""
    names: list[str] = []
    while name := library.seqlm_instruction_set(len(names)):
        names.append(name.decode())
    return names


def _declare(library: ctypes.CDLL, functions: Functions) -> None:
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
