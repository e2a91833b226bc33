"""The files of a numbered text: the tokens, and for each part of the text its numbers and its ends of documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqlm_core.reading.integer_file import mapped_integers
from seqlm_core.reading.numbering import NumberedText, ends_of
from seqlm_core.storage.schema import COUNT, FLAG, TEXT, check

TOKENS = "tokens.json"
_PART = {"count": COUNT, "type": TEXT, "characters": COUNT, "has_ends": FLAG}
_DESCRIPTION = {"tokens": COUNT, "digest_of_tokens": TEXT, "parts": {"training": _PART, ...: _PART}}


def write_numbered(folder: Path, tokens: list[str], parts: Mapping[str, NumberedText]) -> dict[str, Any]:
    """Write what is not written while a text is numbered, and return what :func:`read_numbered` has to know.

    Args:
        folder: the folder, which has the numbers and the ends of each part.
        tokens: the tokens of the numbers from 1 on.
        parts: the parts of the text, by the names of their files.

    Raises:
        OSError: a file cannot be written.
    """
    written = json.dumps(tokens).encode()
    (folder / TOKENS).write_bytes(written)
    for name, part in parts.items():
        np.save(folder / f"{name}.counts.npy", part.counts)
    return {
        "tokens": len(tokens),
        "digest_of_tokens": _digest(written),
        "parts": {
            name: {
                "count": len(part),
                "type": part.numbers.dtype.name,
                "characters": part.characters,
                "has_ends": part.ends is not None,
            }
            for name, part in parts.items()
        },
    }


def read_numbered(folder: Path, description: dict[str, Any]) -> tuple[list[str], dict[str, NumberedText]]:
    """Return the tokens and the parts of a text.

    Raises:
        ValueError: a file is missing or damaged, or the description is.
    """
    check(description, _DESCRIPTION, "the description")
    try:
        written = (folder / TOKENS).read_bytes()
        if _digest(written) != description["digest_of_tokens"]:
            raise ValueError(f"{TOKENS} was altered")
        tokens = json.loads(written)
        return tokens, {name: _part(folder, name, part) for name, part in description["parts"].items()}
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error


def _part(folder: Path, name: str, part: dict[str, Any]) -> NumberedText:
    path = folder / f"{name}.numbers"
    numbers = mapped_integers(path, part["type"], part["count"])
    ends = mapped_integers(ends_of(path), "uint8", part["count"]) if part["has_ends"] else None
    return NumberedText(numbers, np.load(folder / f"{name}.counts.npy"), part["characters"], ends)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
