"""NumPy as MXNet 1.9.1 knows it, for MXNet alone.

MXNet asks NumPy for names that later releases of NumPy have removed. Written into NumPy itself, these would be seen by
all other packages of the process, which may tell releases apart by them. So the modules of MXNet have an ``__import__``
of their own, which gives them a NumPy with these names.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

PACKAGE = "mxnet"


def _removed(*_: Any, **__: Any) -> None:
    """Stand for a function that MXNet passes on, and that NumPy has not had since 1.20."""
    raise NotImplementedError("NumPy has no functions for interest any more")


REMOVED_NAMES: dict[str, Any] = {
    # since NumPy 1.20, where they raised an error when they were called
    **dict.fromkeys(("mirr", "npv", "pmt", "ppmt", "pv", "rate"), _removed),
    # since NumPy 1.24
    "bool": bool,
    "int": int,
    "float": float,
    "object": object,
    "complex": complex,
    "str": str,
    # since NumPy 2.0
    "float_": np.float64,
    "Inf": np.inf,
    "NaN": np.nan,
    "NAN": np.nan,
    "PINF": np.inf,
    "NINF": -np.inf,
    "PZERO": 0.0,
    "NZERO": -0.0,
    "alltrue": np.all,
    "sometrue": np.any,
    "round_": np.round,
    "product": np.prod,
    "msort": lambda array: np.sort(array, axis=0),
    # since NumPy 2.4
    "trapz": getattr(np, "trapezoid", None),
    "row_stack": np.vstack,
    "in1d": np.isin,
}
"""What stands for names that the NumPy of this process may not have."""


class NumpyOfMXNet(types.ModuleType):
    """NumPy, with the names that it had once."""

    def __init__(self) -> None:
        super().__init__(np.__name__, np.__doc__)
        # What NumPy has by now under an old name, which is its own bool, is not what MXNet means.
        old = {name: value for name, value in REMOVED_NAMES.items() if name not in vars(np) or name == "bool"}
        vars(self).update({**vars(np), **old})

    def __getattr__(self, name: str) -> Any:  # of modules that are imported when they are first asked for
        return getattr(np, name)


_NUMPY = NumpyOfMXNet()


def _import(name: str, *arguments: Any, **keywords: Any) -> Any:
    found = builtins.__import__(name, *arguments, **keywords)
    return _NUMPY if found is np else found


_BUILTINS = {**vars(builtins), "__import__": _import}


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: types.ModuleType) -> None:
        vars(module)["__builtins__"] = _BUILTINS
        super().exec_module(module)


class _Finder:
    """Finds the modules of MXNet, and has them executed with an ``__import__`` of their own."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != PACKAGE:
            return None
        others = (finder for finder in sys.meta_path if finder is not _Finder)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def give_numpy_to_mxnet() -> None:
    """See to it that the modules of MXNet that are imported from now on have the NumPy that they know."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
