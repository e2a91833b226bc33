"""Output that is written as it comes, however long it gets."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any


def write(pieces: Iterable[str], at_once: bool = False, stream: IO[str] | None = None) -> None:
    """Write pieces of text to a stream, each at once or when there is enough to write.

    Args:
        pieces: the text.
        at_once: whether each piece is seen at once.
        stream: the stream; None is standard output, if there is one.
    """
    stream = stream or sys.stdout
    if stream is None:
        return
    for piece in pieces:
        stream.write(piece)
        if at_once:
            stream.flush()


@dataclasses.dataclass(frozen=True)
class Fields:
    """A JSON object whose fields come one after the other."""

    pairs: Iterable[tuple[str, Any]]


@dataclasses.dataclass(frozen=True)
class Items:
    """A JSON array whose items come one after the other."""

    values: Iterable[Any]


@dataclasses.dataclass(frozen=True)
class Text:
    """A JSON string that comes in pieces."""

    pieces: Iterable[str]


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A value that is JSON already, as ``json.dumps`` with an indent of 2 makes it."""

    json: str


def json_pieces(value: Any, indent: str = "") -> Iterator[str]:
    """Yield what ``json.dumps`` with an indent of 2 makes of a value, in pieces."""
    if isinstance(value, Text):
        yield '"'
        yield from (json.dumps(piece)[1:-1] for piece in value.pieces)
        yield '"'
    elif isinstance(value, Fields):
        parts = ((f"{json.dumps(name)}: ", json_pieces(part, indent + "  ")) for name, part in value.pairs)
        yield from _enclosed("{", parts, "}", indent)
    elif isinstance(value, Items):
        yield from _enclosed("[", (("", json_pieces(part, indent + "  ")) for part in value.values), "]", indent)
    else:
        encoded = value.json if isinstance(value, Encoded) else json.dumps(value, indent=2)
        yield encoded.replace("\n", "\n" + indent)


def _enclosed(begin: str, parts: Iterable[tuple[str, Iterator[str]]], end: str, indent: str) -> Iterator[str]:
    separator = begin
    for name, pieces in parts:
        yield f"{separator}\n{indent}  {name}"
        yield from pieces
        separator = ","
    yield begin + end if separator == begin else f"\n{indent}{end}"
