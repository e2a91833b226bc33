"""Arguments of public functions, looked at before anything is done with them."""

from __future__ import annotations

import codecs
import numbers
import os
from pathlib import Path
from typing import Any, Union

from seqlm_core.errors import SettingError
from seqlm_core.settings.limits import check_limits, check_type

PathLike = Union[str, "os.PathLike[str]"]

_ACCEPTED: dict[type, type] = {str: str, int: numbers.Integral, float: numbers.Real}


def check_argument(name: str, value: Any, kind: type, **limits: float) -> None:
    """Raise :class:`SettingError` unless an argument is of a kind (str, int or float) and within its limits.

    NumPy's numbers are numbers too. The limits are those of :func:`~seqlm_core.settings.limits.check_limits`.
    """
    check_type(name, value, kind, _ACCEPTED[kind])
    check_limits(name, value, kind, limits)


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
