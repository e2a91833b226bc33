"""Matrices with 8 bits a weight: each row has a scale of its own (symmetric, without a zero point)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Union

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


@dataclasses.dataclass(frozen=True)
class QuantizedMatrix:
    """A matrix with 8 bits a weight.

    Attributes:
        values: int8 ``(rows, columns)``.
        scales: float32 ``(rows,)``.

    Raises:
        ValueError: the two do not fit together, or have other types.
    """

    values: np.ndarray
    scales: np.ndarray

    def __post_init__(self) -> None:
        if self.values.dtype != np.int8 or self.values.ndim != 2:
            raise ValueError(f"must be a matrix of int8, not {self.values.dtype} {self.values.shape}")
        if self.scales.dtype != np.float32 or self.scales.shape != self.values.shape[:1]:
            raise ValueError(
                f"has scales {self.scales.dtype} {self.scales.shape}, and must have float32 {self.values.shape[:1]}"
            )

    @classmethod
    def of(cls, matrix: np.ndarray) -> QuantizedMatrix:
        """Return a matrix of floats with 8 bits a weight."""
        return cls(*quantize(matrix))

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.values.shape

    @property
    def ndim(self) -> int:
        """2, as of any matrix."""
        return self.values.ndim

    def part(self, rows: slice = slice(None), columns: slice = slice(None)) -> QuantizedMatrix:
        """Return some of the rows, and of these some of the columns."""
        return QuantizedMatrix(self.values[rows, columns], self.scales[rows])

    def dequantized(self) -> np.ndarray:
        """Return the weights that it stands for, float32."""
        return dequantize(self.values, self.scales)


Matrix = Union[np.ndarray, QuantizedMatrix]
"""A matrix of floats, or one with 8 bits a weight."""


def part(matrix: Matrix, rows: slice = slice(None), columns: slice = slice(None)) -> Matrix:
    """Return some rows and columns of a matrix."""
    return matrix.part(rows, columns) if isinstance(matrix, QuantizedMatrix) else matrix[rows, columns]


def floats(matrix: Matrix) -> np.ndarray:
    """Return a matrix as floats."""
    return matrix.dequantized() if isinstance(matrix, QuantizedMatrix) else matrix


def stacked(matrices: Sequence[Matrix]) -> Matrix:
    """Return the rows of some matrices in one; it has 8 bits a weight if all of them have."""
    quantized = [matrix for matrix in matrices if isinstance(matrix, QuantizedMatrix)]
    if len(quantized) < len(matrices):
        return np.concatenate([floats(matrix) for matrix in matrices])
    values, scales = (np.concatenate(parts) for parts in zip(*((m.values, m.scales) for m in quantized)))
    return QuantizedMatrix(values, scales)
