"""Matrices with 8 bits a weight: each row has a scale of its own (symmetric, without a zero point)."""

from __future__ import annotations

import numpy as np

LARGEST = 127
"""The largest value of a weight. -128 is not used, so that a weight and its negative are rounded alike."""


def quantize(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whole numbers, int8 of the matrix's shape, and scales, float32 ``(rows,)``.

    The largest weight of a row becomes 127 or -127. A weight is off by at most half of its row's scale.

    Args:
        matrix: finite weights ``(rows, columns)``.
    """
    matrix = np.asarray(matrix, dtype=np.float32)
    scales = np.abs(matrix).max(axis=1, initial=0).astype(np.float32) / np.float32(LARGEST)
    divisors = np.where(scales > 0, scales, np.float32(1))
    return np.clip(np.rint(matrix / divisors[:, None]), -LARGEST, LARGEST).astype(np.int8), scales


def dequantize(values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return the weights, float32 ``(rows, columns)``, that whole numbers and scales stand for."""
    return values.astype(np.float32) * scales.astype(np.float32)[:, None]
