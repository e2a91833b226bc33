"""The NumPy that MXNet 1.9.1 was written for, for MXNet alone.

MXNet asks for names that later releases of NumPy have removed, and for distutils, which Python 3.12 has removed. It
also writes numbers of NumPy as text in a way that depends on the release. Names that are written into NumPy itself
would be seen by all other packages of the process, which may tell releases apart by them. So the modules of MXNet get
an ``__import__`` of their own: its ``numpy`` has the old names too, and everything else of it is NumPy's.
"""

from __future__ import annotations

import builtins
import functools
import sys
import types
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from typing import Any, Callable

import numpy as np
from packaging.version import Version

SPELLING_MODULES = ("mxnet._ctypes.ndarray", "mxnet._ctypes.symbol", "mxnet.symbol.symbol")
"""The modules that hand parameters of operators over to C++ as text, which they make with ``str``."""


def give_numpy_to_mxnet() -> None:
    """Let all modules of MXNet that are imported from now on have the NumPy that they were written for."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def _still(name: str) -> Callable[..., Any]:
    """Return a function that calls NumPy's of today's name. It is another object, since MXNet registers both."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        return getattr(np, name)(*arguments, **keywords)

    return call


def _gone(name: str) -> Callable[..., Any]:
    def fail(*arguments: Any, **keywords: Any) -> Any:
        raise NotImplementedError(f"NumPy has had no {name} since 1.20")

    return fail


def _in1d(first: Any, second: Any, **keywords: Any) -> Any:
    return np.isin(np.ravel(first), second, **keywords)


# What NumPy 2 has as np.bool is another type than the one that MXNet means.
ALIASES_OF_PYTHON: dict[str, Any] = {"bool": bool, "int": int}
REMOVED_NAMES: dict[str, Any] = {
    # by NumPy 1.20; MXNet only passes them on
    **{name: _gone(name) for name in ("mirr", "npv", "pmt", "ppmt", "pv", "rate")},
    # by NumPy 2.0
    "Inf": np.inf,
    "NAN": np.nan,
    "NINF": -np.inf,
    "NZERO": -0.0,
    "NaN": np.nan,
    "PINF": np.inf,
    "PZERO": 0.0,
    "alltrue": _still("all"),
    "compat": types.SimpleNamespace(basestring=str),
    "msort": functools.partial(np.sort, axis=0),
    "product": _still("prod"),
    "round_": _still("round"),
    "sometrue": _still("any"),
    # by NumPy 2.4
    "in1d": _in1d,
    "trapz": _still("trapezoid"),
}
"""The names that MXNet asks for and that some release of NumPy since 1.23 lacks, with what they meant."""


class NumpyOfMXNet(types.ModuleType):
    """What MXNet gets for ``numpy``. An attribute of NumPy is looked up there whenever it is asked for."""

    def __init__(self) -> None:
        super().__init__(np.__name__, np.__doc__)
        # Without looking at NumPy's attributes, since it warns of some that it still has.
        missing = {name: value for name, value in REMOVED_NAMES.items() if name not in vars(np)}
        vars(self).update(missing, **ALIASES_OF_PYTHON, __version__=np.__version__)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *dir(np)})


class _Spelled:
    """Something within a tuple or list, which is written as NumPy 1 wrote it: 16, where NumPy 2 has np.int64(16)."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        if isinstance(self._value, (tuple, list)):
            return spelled(self._value)
        return str(self._value) if isinstance(self._value, np.generic) else repr(self._value)


def spelled(value: Any) -> str:
    """Return the text of a parameter of an operator, which MXNet reads in C++; the same for all releases of NumPy."""
    if isinstance(value, tuple):
        return str(tuple(map(_Spelled, value)))
    return str(list(map(_Spelled, value))) if isinstance(value, list) else str(value)


class _IsText(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, str)


class TextOfParameters(metaclass=_IsText):
    """What stands for ``str`` in the modules that spell: it is called, and asked what is an instance of it."""

    def __new__(cls, value: Any) -> Any:
        return spelled(value)


_NUMPY = NumpyOfMXNet()
# MXNet compares the version of NumPy with those that it knows.
_VERSIONS = types.ModuleType("distutils.version")
vars(_VERSIONS).update(LooseVersion=Version, StrictVersion=Version)


def _import(name: str, *arguments: Any, **keywords: Any) -> Any:
    if name == _VERSIONS.__name__:
        return _VERSIONS
    found = builtins.__import__(name, *arguments, **keywords)
    return _NUMPY if found is np else found


_BUILTINS = {**vars(builtins), "__import__": _import}


class _Loader(SourceFileLoader):
    def exec_module(self, module: types.ModuleType) -> None:
        vars(module)["__builtins__"] = _BUILTINS
        if module.__name__ in SPELLING_MODULES:
            vars(module)["str"] = TextOfParameters
        super().exec_module(module)


class _Finder:
    """Finds the modules of MXNet where others find them, and gives them another loader."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] != "mxnet":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


_FINDER = _Finder()
