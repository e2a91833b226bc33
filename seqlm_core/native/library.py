"""The native libraries, which are used where they could be built."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger("seqlm")

Functions = Mapping[str, tuple[Any, Sequence[Any]]]
"""The type of the result and those of the arguments of each function that is called."""

_FUNCTIONS: Functions = {"seqlm_instruction_set": (ctypes.c_char_p, [ctypes.c_size_t])}


def library_path(name: str) -> Path:
    """Return where the library ``generation`` or ``training`` is, if it was built."""
    return Path(__file__).with_name(f"libseqlm_{name}.so")


def is_switched_off() -> bool:
    """Whether no library is to be used, because ``SEQLM_NATIVE`` is 0."""
    return os.environ.get("SEQLM_NATIVE") == "0"


def load(path: Path, interface: int, functions: Functions, otherwise: str) -> ctypes.CDLL | None:
    """Return a library; None where it was not built, or, with a warning, cannot be used.

    Args:
        path: of its file.
        interface: the number of the interface that is wanted; the library may have been built from other sources.
        functions: of this interface.
        otherwise: for the warning, what is done without it.
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
    """Return the names of those that a library was compiled for and the processor has, the slowest first."""
    names: list[str] = []
    while name := library.seqlm_instruction_set(len(names)):
        names.append(name.decode())
    return names


def _declare(library: ctypes.CDLL, functions: Functions) -> None:
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
