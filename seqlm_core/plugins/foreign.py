"""Code that is not seqlm's, such as plugins, extensions and schedules: its errors, told with their place."""

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
    if isinstance(error, PluginRuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    text = one_line(error) if not isinstance(error, SeqlmError) else f"{type(error).__name__}: {one_line(error)}"
    frame = _foreign_frame(error)
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno})" if frame is not None else text


@contextlib.contextmanager
def plugin_code(spec: Any, what: str = "fails") -> Iterator[None]:
    """Tell what is raised meanwhile as an error of the plugin that handed over ``spec``.

    Errors of ours, lack of memory, and what is no :class:`Exception`, such as ``KeyboardInterrupt``, are let through.

    Args:
        spec: the record; None where it is not known whose code runs, and nothing is done.
        what: the plugin does.

    Raises:
        PluginRuntimeError: with the plugin's kind, name and distribution, the error, and the plugin's file and line.
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
    """Return what :func:`plugin_code` raises, for an error, or for a problem in words; at the place of ``build``."""
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
    """Return kind and name of a plugin, and what brought it unless it is built in."""
    from seqlm_core.plugins.loading import installed_plugins

    source = installed_plugins().source_of(spec.kind, spec.name)
    brought_by = "" if source is None or source.built_in else f" of {source}"
    return f"{spec.kind}:{spec.name}{brought_by}"


def _foreign_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Return the innermost frame of foreign code that an error, or what it comes from, went through."""
    while error.__cause__ is not None:
        error = error.__cause__
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_foreign(Path(frame.filename))]
    return own[-1] if own else None


def _is_foreign(file: Path) -> bool:
    """Whether a file is neither of seqlm itself nor of what it is built on."""
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    of_python = STANDARD_LIBRARY in file.resolve().parents and not installed
    return not of_python and CORE not in file.resolve().parents and not LIBRARIES & set(file.parts)
