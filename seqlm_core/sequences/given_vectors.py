"""Vectors of tokens that are given, and not learnt with a model: where they come from, and those of some sequences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

NO_VECTOR = -1


class VectorSource(Protocol):
    """Gives a vector to each token of a sequence.

    Attributes:
        size: the length of the vectors.
        described: what a run records of the source, by the name of the argument that named it.
    """

    size: int
    described: dict[str, dict[str, str]]

    def of(self, sequences: Sequence[Sequence[str]]) -> GivenVectors:
        """Return the vectors of the tokens of sequences."""


@dataclasses.dataclass(frozen=True)
class GivenVectors:
    """The vectors of the tokens of some sequences.

    Attributes:
        table: vectors, float32 ``(rows, size)``; it may be a file that is mapped into memory.
        rows: for each sequence the row of each token, ``(time,)``; :data:`NO_VECTOR` stands for a vector of zeros.
    """

    table: np.ndarray
    rows: list[np.ndarray]

    def beside(self, indices: np.ndarray, time: int, columns: int) -> np.ndarray:
        """Return the vectors of some of the sequences side by side, ``(time, columns, size)``; elsewhere they are 0."""
        found = np.zeros((time, columns, self.table.shape[1]), np.float32)
        for column, index in enumerate(indices):
            rows = self.rows[index]
            known = np.flatnonzero(rows != NO_VECTOR)
            found[known, column] = self.table[rows[known]]
        return found
