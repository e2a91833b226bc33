"""Code that is not seqlm's, such as plugins, extensions and schedules: its errors, told with their place."""

from __future__ import annotations

import functools
import sysconfig
import traceback
from pathlib import Path
from typing import Any, Callable

from seqlm_core.errors import PluginError, SeqlmError

CORE = Path(__file__).resolve().parent
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
LIBRARIES = {"mxnet", "numpy"}


def told(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its errors told as those of ``what``, as a :class:`PluginError` with file and line."""

    @functools.wraps(function, assigned=())
    def called(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (SeqlmError, MemoryError):
            raise
        except Exception as error:
            raise PluginError(f"{what} fails: {describe(error)}") from error

    return called


def describe(error: BaseException) -> str:
    """Return an error in one line, with the line of the foreign code that it came from."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # MXNet puts the lines of its own C++ code before the message.
    text = f"{type(error).__name__}: {lines[-1] if lines[0].startswith('Traceback') else lines[0]}"
    while error.__cause__ is not None:
        error = error.__cause__
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_foreign(Path(frame.filename))]
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else text


def _is_foreign(file: Path) -> bool:
    """Whether a file is neither of seqlm itself nor of what it is built on."""
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    of_python = STANDARD_LIBRARY in file.resolve().parents and not installed
    return not of_python and CORE not in file.resolve().parents and not LIBRARIES & set(file.parts)
