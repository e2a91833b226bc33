"""Errors of code that is not part of seqlm (plugins, extensions, schedules), reported with file and line."""

from __future__ import annotations

import contextlib
import functools
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from seqlm_core.errors import PluginError, PluginRuntimeError, SeqlmError, one_line

CORE = Path(__file__).resolve().parents[1]
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
LIBRARIES = {"mxnet", "numpy"}


def guarded(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, but with its errors turned into a :class:`PluginError` of ``what``, with file and line."""

    @functools.wraps(function, assigned=())
    def guarded_function(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (SeqlmError, MemoryError):
            raise
        except Exception as error:
            raise PluginError(f"{what} fails: {describe(error)}") from error

    return guarded_function


def describe(error: BaseException) -> str:
    """Return an error in one line, with the file and line of the foreign code that it came from."""
    if isinstance(error, PluginRuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    text = one_line(error) if not isinstance(error, SeqlmError) else f"{type(error).__name__}: {one_line(error)}"
    frame = _foreign_frame(error)
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno})" if frame is not None else text


@contextlib.contextmanager
def plugin_code(spec: Any, what: str = "fails") -> Iterator[None]:
    """Report errors of the block as errors of the plugin that provides ``spec``.

    Some exceptions stay as they are: errors of seqlm, lack of memory, and exceptions that are not an
    :class:`Exception`, such as ``KeyboardInterrupt``.

    Args:
        spec: the record of the plugin. With None, all errors stay as they are.
        what: what the plugin does wrong, for the message.

    Raises:
        PluginRuntimeError: the block raised an error. The message has the kind, name and distribution of the plugin,
            the error, and the file and line of the plugin's code.
    """
    try:
        yield
    except (SeqlmError, MemoryError):
        raise
    except Exception as error:
        if spec is None:
            raise
        raise plugin_failure(spec, error, what) from error


def plugin_failure(spec: Any, problem: BaseException | str, what: str = "fails") -> PluginRuntimeError:
    """Return the error that :func:`plugin_code` raises.

    Args:
        spec: the record of the plugin.
        problem: an error that the plugin raised; or a problem in words, which is reported at the line of ``build``.
        what: what the plugin does wrong.
    """
    if isinstance(problem, BaseException):
        frame = _foreign_frame(problem)
        place = None if frame is None else f"{frame.filename}:{frame.lineno}"
        problem = one_line(problem)
    else:
        code = getattr(spec.build, "__code__", None)
        place = None if code is None else f"{code.co_filename}:{code.co_firstlineno}"
    at = f" ({place})" if place else ""
    return PluginRuntimeError(f"{plugin_title(spec)} {what}: {problem}{at}; try seqlm check {spec.kind}:{spec.name}")


def plugin_title(spec: Any) -> str:
    """Return the kind and name of a plugin and, unless it is built in, where it came from."""
    from seqlm_core.plugins.loading import installed_plugins

    source = installed_plugins().source_of(spec.kind, spec.name)
    origin = "" if source is None or source.built_in else f" of {source}"
    return f"{spec.kind}:{spec.name}{origin}"


def _foreign_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Return the innermost frame of foreign code in the traceback of an error, or of the error that caused it."""
    while error.__cause__ is not None:
        error = error.__cause__
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_foreign(Path(frame.filename))]
    return own[-1] if own else None


def _is_foreign(file: Path) -> bool:
    """Whether a file belongs neither to seqlm nor to Python or the libraries that seqlm is built on."""
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    of_python = STANDARD_LIBRARY in file.resolve().parents and not installed
    return not of_python and CORE not in file.resolve().parents and not LIBRARIES & set(file.parts)
