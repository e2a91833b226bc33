"""A file of integers, in the smallest type that holds them, which becomes a memory-mapped array."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
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

    Args:
        path: the file; None means a temporary one without a name, which is gone when the array that is made of it is.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file = _new_file(path)
        self._type: type[np.integer] = TYPES[0]
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
        """Return all integers, memory-mapped. Nothing can be written any more."""
        if not self._count:
            return np.zeros(0, dtype=self._type)
        self._file.flush()
        # As a plain array, since indexing a memmap takes longer.
        return np.asarray(np.memmap(self._file, dtype=self._type, mode="r"))

    def _widen(self, kind: type[np.integer]) -> None:
        """Write the integers again with a larger type."""
        narrow, self._type = self._type, kind
        beside = None if self._path is None else self._path.with_name(f"{self._path.name}.wider")
        with self._file as written:
            written.seek(0)
            self._file = _new_file(beside)
            while block := written.read(AT_A_TIME):
                self._file.write(np.frombuffer(block, dtype=narrow).astype(kind).data)
        if beside is not None and self._path is not None:  # no system refuses to rename a file that nobody has open
            self._file.close()
            os.replace(beside, self._path)
            self._file = self._path.open("r+b")
            self._file.seek(0, os.SEEK_END)


def _new_file(path: Path | None) -> BinaryIO:
    if path is None:
        return cast(BinaryIO, tempfile.TemporaryFile(prefix="seqlm-"))
    path.unlink(missing_ok=True)
    return path.open("x+b")


def mapped_integers(path: Path, kind: str, count: int) -> np.ndarray:
    """Return the integers of a file that :class:`IntegerFile` wrote, memory-mapped.

    Args:
        path: the file.
        kind: the name of their type.
        count: how many there are.

    Raises:
        ValueError: there are more or fewer, or the type is none of the file's.
        OSError: the file cannot be read.
    """
    types = {np.dtype(known).name: np.dtype(known) for known in TYPES}
    if kind not in types:
        raise ValueError(f"{path} is said to hold {kind}")
    if path.stat().st_size != count * types[kind].itemsize:
        raise ValueError(f"{path} does not hold {count} integers")
    return np.asarray(np.memmap(path, types[kind], mode="r")) if count else np.zeros(0, types[kind])
