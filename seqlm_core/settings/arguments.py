"""Arguments of public functions, looked at before anything is done with them."""

from __future__ import annotations

import codecs
import numbers
import os
from pathlib import Path
from typing import Any, Union

from seqlm_core.errors import SettingError

PathLike = Union[str, "os.PathLike[str]"]

BEYOND_ALL_NUMBERS = 2**63
"""No whole number that is asked for is as large as this."""

_KINDS: dict[type, tuple[type, str]] = {
    str: (str, "text"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
}


def check_argument(
    name: str, value: Any, kind: type, minimum: float | None = None, maximum: float | None = None
) -> None:
    """Raise :class:`SettingError` unless an argument is of a kind (str, int or float) and within its limits."""
    accepted, words = _KINDS[kind]
    number: Any = value
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise SettingError(name, f"must be {words}, not {value!r}")
    if minimum is not None and number < minimum:
        raise SettingError(name, f"must be at least {minimum}, not {value}")
    if maximum is not None and number > maximum:
        raise SettingError(name, f"must be at most {maximum}, not {value}")
    if kind is int and number >= BEYOND_ALL_NUMBERS:
        raise SettingError(name, f"must be below 2**63, not {value}")


def checked_path(name: str, value: Any) -> Path:
    """Return an argument that is a path; raise :class:`SettingError` if it is none."""
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise SettingError(name, f"must be a path, not {value!r}")
    return Path(path)


def check_encoding(encoding: str) -> None:
    """Raise :class:`SettingError` unless ``encoding`` names a way to write text as bytes."""
    try:
        "".encode(encoding)
        codecs.getincrementaldecoder(encoding)
        known = bool(encoding)
    except (LookupError, ValueError, TypeError):
        known = False
    if not known:
        raise SettingError("encoding", f"{encoding!r} is not the name of a text encoding")
