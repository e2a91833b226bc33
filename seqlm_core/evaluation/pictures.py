"""What all pictures have in common: they are drawn with matplotlib, without warnings, and are files without a date."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def quiet_drawing() -> Iterator[None]:
    """Give no warnings that would not help a user, while something is drawn."""
    with warnings.catch_warnings():
        # A box is drawn for a character that no font has.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        # What matplotlib and its own libraries deprecate of each other, which would be errors where a user makes errors
        # of warnings.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def file_of(figure: Any, kind: str = "png") -> bytes:
    """Return a figure of matplotlib as a file: ``png``, ``svg`` or ``pdf``. It does not say when it was made."""
    buffer = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    figure.savefig(buffer, format=kind, dpi=120, metadata=undated)
    return buffer.getvalue()


def plain(text: str) -> str:
    """Return a text in which matplotlib sees no formula, which a dollar would begin."""
    return text.replace("$", r"\$")


def families_for(text: str) -> list[str]:
    """Return the font families to draw a text in: the default ones, and one with the characters that they lack.

    The title with the name of a Chinese file needs this. If no installed font has all these characters, only the
    default families are returned.
    """
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    def lacks(path: str, characters: set[str]) -> set[str]:
        font = FT2Font(path)
        return {character for character in characters if not font.get_char_index(ord(character))}

    usual = font_manager.FontProperties()
    lacking = lacks(font_manager.findfont(usual), set(filter(str.isprintable, text)))
    families: list[str] = list(usual.get_family())
    fonts = font_manager.fontManager.ttflist if lacking else []
    for font in sorted(fonts, key=lambda font: (font.style != "normal", font.weight not in (400, "normal"), font.name)):
        if font.name.startswith("Last Resort"):  # this font has only boxes
            continue
        with contextlib.suppress(OSError, RuntimeError):
            if not lacks(font.fname, lacking):
                return [*families, font.name]
    return families
