"""The old names of NumPy that MXNet 1.9.1 needs."""

from __future__ import annotations

import numpy as np

_REMOVED = {"bool": bool, "int": int, "float": float, "object": object, "complex": complex, "str": str}


def give_old_names() -> None:
    """Give NumPy the names that newer versions do not have."""
    for name, kind in _REMOVED.items():
        if name not in vars(np):
            setattr(np, name, kind)
