"""A temporary file of integers, in the smallest type that holds them, which becomes a memory-mapped array."""

from __future__ import annotations

import tempfile
from typing import BinaryIO, cast

import numpy as np

TYPES = (np.uint8, np.uint16, np.int32)
AT_A_TIME = 1 << 20
"""How many integers, or bytes of them, are in memory at a time."""


def type_for(largest: int) -> type[np.integer]:
    """Return the smallest type of the file's for integers from 0 to ``largest``."""
    return next(kind for kind in TYPES if largest <= np.iinfo(kind).max)


class IntegerFile:
    """Integers from 0 on that are written one after the other. Its type grows with the largest of them.

    The file has no name, so it is gone when the array that is made of it is.

    Args:
        largest: the largest integer that is certain to come, or that the array must have room for.
    """

    def __init__(self, largest: int = 0) -> None:
        self._file = _new_file()
        self._type = type_for(largest)
        self._count = 0

    def __enter__(self) -> IntegerFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, integers: np.ndarray, largest: int) -> None:
        """Append integers, none of which is above ``largest``."""
        if largest > np.iinfo(self._type).max:
            self._widen(type_for(largest))
        self._file.write(np.ascontiguousarray(integers, dtype=self._type).data)
        self._count += len(integers)

    def change_last(self, integer: int) -> None:
        """Replace the last integer."""
        self._file.seek(-np.dtype(self._type).itemsize, 2)
        self._file.write(self._type(integer).tobytes())

    def array(self) -> np.ndarray:
        """Return all integers, memory-mapped. They can be changed in place; nothing can be written any more."""
        if not self._count:
            return np.zeros(0, dtype=self._type)
        self._file.flush()
        return np.memmap(self._file, dtype=self._type, mode="r+")

    def _widen(self, kind: type[np.integer]) -> None:
        """Write the integers again with a larger type."""
        narrow, self._type = self._type, kind
        with self._file as written:
            written.seek(0)
            self._file = _new_file()
            while block := written.read(AT_A_TIME):
                self._file.write(np.frombuffer(block, dtype=narrow).astype(kind).data)


def _new_file() -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="seqlm-"))
