"""The weights of a page: those that are needed from left to right, rounded, and as a text.

Matrices are rounded, vectors (biases, and the scales of 8-bit rows) are float32. Float16 numbers go into the page as
all their high bytes and then all their low bytes. Signs, exponents and first digits repeat themselves, so that deflate
leaves six bits of eight of the high bytes. Browsers have inflate (``DecompressionStream``, since 2023) and base64.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqlm_core.errors import RunError, UsageError
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.storage.quantization import dequantize, quantize

FLOAT16, EIGHT_BIT = "float16", "8-bit"
ROUNDINGS = (FLOAT16, EIGHT_BIT)
"""How weights may be rounded."""


def left_to_right(architecture: LanguageArchitecture, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the parameters that a prediction from the left context needs.

    Of a bidirectional model these are the forward layers, and of what is multiplied by the hidden vectors of both
    directions side by side the columns of the forward one.
    """
    units = architecture.hidden_sizes[-1]
    found = {}
    for name, array in weights.items():
        if name.startswith("backward_stack."):
            continue
        reads_both = name == "head.weight" or name.endswith("projection_weight")
        found[name] = array[:, :units] if reads_both and array.shape[1] == architecture.head_size else array
    return found


def rounded(array: np.ndarray, rounding: str) -> np.ndarray:
    """Return the numbers, float32, by which a page computes instead of a parameter's.

    Args:
        array: the parameter.
        rounding: one of :data:`ROUNDINGS`.
    """
    if array.ndim < 2:
        return array
    if rounding == FLOAT16:
        return array.astype(np.float16).astype(np.float32)
    return dequantize(*quantize(array))


def packed(weights: Mapping[str, np.ndarray], rounding: str) -> dict[str, Any]:
    """Return the parameters as values that JSON can hold: name, rows and columns of each, and a text with all numbers.

    Args:
        weights: the parameters by name, which are matrices and vectors.
        rounding: one of :data:`ROUNDINGS`.

    Raises:
        RunError: a weight is not a finite number.
        UsageError: a weight is too large for float16.
    """
    parts: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])  # of matrices high and low bytes, float32
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise RunError(
                f"parameter {name!r} has a value that is not a finite number, so the model cannot be exported"
            )
        if array.ndim < 2:
            parts[2].append(array.astype("<f4").tobytes())
        elif rounding == FLOAT16:
            if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
                raise UsageError(
                    f"parameter {name!r} has a value that is too large for float16; `weights` 8-bit can hold it"
                )
            halves = array.astype("<f2").tobytes()
            parts[0].append(halves[1::2])
            parts[1].append(halves[::2])
        else:
            values, scales = quantize(array)
            parts[0].append(values.tobytes())
            parts[2].append(scales.astype("<f4").tobytes())
    shapes = [[name, len(array), array.shape[1] if array.ndim == 2 else None] for name, array in weights.items()]
    data = zlib.compress(b"".join(piece for part in parts for piece in part), 9)
    return {"rounding": rounding, "shapes": shapes, "data": base64.b64encode(data).decode()}
