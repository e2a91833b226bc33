"""Texts of any origin as a terminal may show them: without characters that would control it."""

from __future__ import annotations

import unicodedata

_SHOWN = {"Zs"}
"""Categories of Unicode that Python calls unprintable, and that a terminal shows as what they are: spaces."""


def harmless_lines(text: str, encoding: str = "utf-8") -> list[str]:
    """Return the lines of a text, in which escapes, as Python writes them, stand for what is not shown as it is.

    These are control characters, such as those that begin an escape sequence or change the direction of writing, those
    without a meaning in Unicode, and those that the encoding lacks. Tabs become spaces. Blank lines are left out.

    Args:
        text: the text.
        encoding: the encoding of the terminal.
    """
    lines = (_harmless(line.expandtabs(4), encoding) for line in text.splitlines())
    return [line for line in lines if line.strip()]


def _harmless(line: str, encoding: str) -> str:
    shown = "".join(c if c.isprintable() or unicodedata.category(c) in _SHOWN else _escape(c) for c in line)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
