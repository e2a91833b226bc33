"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each row, its columns as wide as their longest text and parted by two spaces."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()


def printable(text: str) -> str:
    """Return a text with escapes for what would break its line, or could not be written."""
    return text if text.isprintable() else ascii(text)[1:-1]
