"""Files that are compressed with gzip or xz, read as what they hold. Their first bytes tell, not their names."""

from __future__ import annotations

import gzip
import lzma
import zlib
from pathlib import Path
from typing import IO, Callable, Protocol, cast

COMPRESSED_SUFFIXES = (".gz", ".xz")

GZIP, XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
"""The bytes with which the formats begin; no text in UTF-8 begins so."""

DAMAGED = (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)
"""What reading a damaged file raises."""


class Reader(Protocol):
    """Something that is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at the end."""


def decompressed(file: IO[bytes], observe: Callable[[bytes], None]) -> Reader:
    """Return a reader of what a file holds: its bytes, or what they are when they are decompressed.

    Args:
        file: the file, at its beginning; it can be sought.
        observe: is called with the bytes of the file as they are read.
    """
    beginning = file.read(max(len(GZIP), len(XZ)))
    file.seek(0)
    observed = cast(IO[bytes], _Observed(file, observe))
    if beginning.startswith(GZIP):
        return gzip.GzipFile(fileobj=observed)
    return lzma.LZMAFile(observed) if beginning.startswith(XZ) else observed


class _Observed:
    def __init__(self, file: IO[bytes], observe: Callable[[bytes], None]) -> None:
        self._file = file
        self._observe = observe

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._observe(block)
        return block


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed, so that its size is not that of the text."""
    with path.open("rb") as file:
        return file.read(max(len(GZIP), len(XZ))).startswith((GZIP, XZ))


def without_suffix(path: Path) -> str:
    """Return the name of a file without its suffix, and without that of a compressed file before it."""
    return Path(path.stem).stem if path.suffix in COMPRESSED_SUFFIXES else path.stem
