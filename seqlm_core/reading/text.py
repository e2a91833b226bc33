"""Text files, compressed ones too, read piece by piece.

Errors say which byte is wrong, or that the file changed while it was read.
"""

from __future__ import annotations

import codecs
import collections
import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from seqlm_core.errors import RunError, TextError
from seqlm_core.reading.compression import DAMAGED, decompressed
from seqlm_core.settings.arguments import PathLike

BLOCK_BYTES = 1 << 20
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def check_readable(path: PathLike) -> Path:
    """Return ``path`` if it is a file that can be read and is not empty.

    Raises:
        TextError: it does not exist, is not a regular file, is empty, or cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise TextError(f"{path} is a directory, not a text file")
        if path.exists() and not path.is_file():
            raise TextError(f"{path} is not a regular file, so it cannot be read twice; pipe it into - instead")
        with path.open("rb") as file:
            if not file.read(1):
                raise TextError(f"{path} is empty")
    except FileNotFoundError as error:
        raise TextError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        raise TextError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return path


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """The size and the digest of a text, which tell whether it has changed.

    Attributes:
        size: the number of bytes of the file, as it is compressed.
        digest: the BLAKE2b digest of these bytes, in hexadecimal.
    """

    size: int
    digest: str


def new_digest() -> hashlib.blake2b:
    """Return a new digest, of no bytes yet."""
    return hashlib.blake2b(digest_size=16)


class TextFile:
    """A text file that may be read in several passes, and that must hold the same bytes in all of them.

    The passes that read the bytes also hash them, so the fingerprint is that of the text that was read. A file that is
    appended to, cut, altered or replaced meanwhile is refused.

    Args:
        path: the file.
        recorded: the fingerprint that the file must have; None if any is right.
        folder: the folder that was named and holds the file; None if the file itself was named.
    """

    def __init__(self, path: PathLike, recorded: Fingerprint | None = None, folder: Path | None = None) -> None:
        self.path = Path(path)
        self.recorded = recorded
        self.folder = folder
        self.on_read: Callable[[int], object] = _ignore
        """Is called with each number of bytes that were read."""
        self._read: Fingerprint | None = None
        self._state: tuple[int, ...] | None = None
        self._digests: list[bytes] = []
        """For each block, the digest of all bytes up to its end. So passes that end early are compared too."""

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @classmethod
    def of(cls, path: PathLike) -> TextFile:
        """Return ``path`` itself if it is a :class:`TextFile`, or else the text file of this path."""
        return path if isinstance(path, cls) else cls(path)

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of what was read or, before it was read, the recorded one.

        Raises:
            ValueError: the file was not read to its end, and no fingerprint is recorded.
        """
        found = self._read or self.recorded
        if found is None:
            raise ValueError(f"{self.path} was not read to its end")
        return found

    def blocks(self, encoding: str) -> Iterator[str]:
        """Yield the text in blocks of about a million characters. Line ends stay as they are.

        A byte-order mark at the beginning of a UTF-8 file is left out.

        Raises:
            TextError: a byte cannot be decoded, the file holds NUL characters and so is not a text, or it changed while
                it was read.
            RunError: the file does not have the recorded fingerprint.
        """
        blocks = self._byte_blocks()
        try:
            yield from _decoded(blocks, self.path, encoding)
        except TextError:
            if self.recorded is not None:  # reading the rest raises the error that it has changed
                collections.deque(blocks, maxlen=0)
            raise

    def read_bytes(self) -> bytes:
        """Return all bytes, decompressed. The errors are those of :meth:`blocks`."""
        return b"".join(self._byte_blocks())

    def recognize(self, fingerprint: Fingerprint, state: os.stat_result) -> None:
        """Take a fingerprint that is known from an earlier time, when the file was in this state.

        Raises:
            RunError: it is not the recorded one.
        """
        self._compare(state)
        self._read = fingerprint
        if self.recorded not in (None, fingerprint):
            raise self._changed_since_the_run_began()

    def check_unchanged(self) -> None:
        """Raise :class:`TextError` if the file changed since it was read."""
        try:
            self._compare(os.stat(self.path))
        except FileNotFoundError as error:
            raise self._changed() from error

    def _byte_blocks(self) -> Iterator[bytes]:
        digest = new_digest()
        size = number = 0

        def observe(read: bytes) -> None:
            nonlocal size
            size += len(read)
            digest.update(read)
            self.on_read(len(read))

        try:
            with self.path.open("rb") as file:
                self._compare(os.fstat(file.fileno()))
                reader = decompressed(file, observe)
                while True:
                    block = reader.read(BLOCK_BYTES)
                    if number == len(self._digests):
                        self._digests.append(digest.digest())
                    elif self._digests[number] != digest.digest():
                        raise self._changed()
                    if not block:
                        break
                    yield block
                    number += 1
        except FileNotFoundError as error:
            raise (TextError(f"no such file: {self.path}") if self._state is None else self._changed()) from error
        except DAMAGED as error:
            raise TextError(
                f"{self.path} is damaged: it is compressed, and cannot be decompressed to its end ({error})"
            ) from error
        except OSError as error:
            raise TextError(f"{self.path} cannot be read: {error.strerror}") from error
        self.check_unchanged()
        found = Fingerprint(size, digest.hexdigest())
        if self._read not in (None, found):
            raise self._changed()
        self._read = found
        if self.recorded not in (None, self._read):
            raise self._changed_since_the_run_began()

    def _compare(self, found: os.stat_result) -> None:
        """Record the file's state at the first pass, and raise an error if it is another one at a later pass."""
        if self.recorded is not None and found.st_size != self.recorded.size:
            raise self._changed_since_the_run_began()
        state = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
        if self._state is None:
            self._state = state
        elif state != self._state:
            raise self._changed()

    def _changed(self) -> TextError:
        return TextError(f"{self.path} changed while it was read; read a copy of it that stays as it is")

    def _changed_since_the_run_began(self) -> RunError:
        return RunError(f"{self.path} has changed since the run began, so the run cannot go on")


def _ignore(size: int) -> None:
    pass


def read_blocks(path: PathLike, encoding: str) -> Iterator[str]:
    """Yield the text of a file in blocks, as :meth:`TextFile.blocks` does."""
    return TextFile.of(path).blocks(encoding)


def _decoded(blocks: Iterator[bytes], path: Path, encoding: str) -> Iterator[str]:
    strict = _is_utf8(encoding)  # half of a character cannot be decoded then
    decoder = codecs.getincrementaldecoder("utf-8-sig" if strict else encoding)()
    bytes_before = characters_before = 0
    for block in itertools.chain(blocks, [b""]):
        undecoded = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            at = bytes_before - undecoded + getattr(error, "start", 0)
            raise TextError(
                f"{path} is not {encoding}: byte {at} cannot be decoded; give its real encoding with `encoding`"
            ) from error
        nul = text.find("\0")
        if nul >= 0:
            raise TextError(
                f"{path} holds a NUL at character {characters_before + nul}: it is not a text file, or needs another "
                "`encoding`"
            )
        surrogate = None if strict or text.isascii() else LONE_SURROGATE.search(text)
        if surrogate:
            raise TextError(
                f"{path} holds half of a character (a lone surrogate) at character "
                f"{characters_before + surrogate.start()}: it is damaged, or needs another `encoding`"
            )
        if text:
            yield text
        bytes_before += len(block)
        characters_before += len(text)


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"
