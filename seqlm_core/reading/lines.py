"""The lines of a text file."""

from __future__ import annotations

from collections.abc import Iterator

from seqlm_core.reading.text import read_blocks
from seqlm_core.settings.arguments import PathLike


def read_lines(path: PathLike, encoding: str) -> Iterator[str]:
    """Yield the lines of a file without their ends, a line feed or a carriage return and a line feed.

    Only a line feed ends a line: a token may hold other characters that Unicode counts as line separators.

    Raises:
        TextError: the file cannot be read.
    """
    pieces: list[str] = []
    for block in read_blocks(path, encoding):
        end_of_line, *lines = block.split("\n")
        pieces.append(end_of_line)
        if lines:
            *whole, rest = lines
            yield _without_return("".join(pieces))
            yield from map(_without_return, whole)
            pieces = [rest]
    yield _without_return("".join(pieces))


def _without_return(line: str) -> str:
    return line[:-1] if line.endswith("\r") else line
