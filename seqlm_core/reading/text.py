"""Text files read piece by piece, with errors that say at which byte a file goes wrong."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from seqlm_core.errors import SettingError, TextError

PathLike = Union[str, "os.PathLike[str]"]

BLOCK_BYTES = 1 << 20
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def check_encoding(encoding: str) -> None:
    """Raise :class:`SettingError` unless ``encoding`` names a way to write text as bytes."""
    try:
        "".encode(encoding)
        codecs.getincrementaldecoder(encoding)
        known = bool(encoding)
    except (LookupError, ValueError, TypeError):
        known = False
    if not known:
        raise SettingError("encoding", f"{encoding!r} is not the name of a text encoding")


def check_readable(path: PathLike) -> Path:
    """Return ``path`` if it is a file with something in it.

    Raises:
        TextError: it does not exist, is a directory, is empty, or may not be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise TextError(f"{path} is a directory, not a text file")
        if path.exists() and not path.is_file():
            raise TextError(f"{path} is no regular file, so it cannot be read twice; pipe it into - instead")
        with path.open("rb") as file:
            if not file.read(1):
                raise TextError(f"{path} is empty")
    except FileNotFoundError as error:
        raise TextError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        raise TextError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return path


def read_blocks(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of a file in blocks of about a million characters; line ends stay as they are.

    A byte-order mark at the beginning of UTF-8 is left out.

    Raises:
        TextError: a byte cannot be decoded, or the file holds NUL characters and so is no text.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig" if _is_utf8(encoding) else encoding)()
    bytes_before = characters_before = 0
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK_BYTES)
            undecoded = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeError as error:
                at = bytes_before - undecoded + getattr(error, "start", 0)
                raise TextError(
                    f"{path} is not {encoding}: byte {at} cannot be decoded; give its real encoding with --encoding"
                ) from error
            nul = text.find("\0")
            if nul >= 0:
                raise TextError(
                    f"{path} holds a NUL at character {characters_before + nul}: it is no text file, or needs "
                    "another --encoding"
                )
            surrogate = LONE_SURROGATE.search(text)
            if surrogate:
                raise TextError(
                    f"{path} holds half of a character (a lone surrogate) at character "
                    f"{characters_before + surrogate.start()}: it is damaged, or needs another --encoding"
                )
            if text:
                yield text
            if not block:
                return
            bytes_before += len(block)
            characters_before += len(text)


def file_digest(path: PathLike) -> str:
    """Return a BLAKE2b digest of a file's bytes, in hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"
