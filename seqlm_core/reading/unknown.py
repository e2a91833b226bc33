"""Tokens that are not in the vocabulary: how to report their share, and from which share on figures say little."""

from __future__ import annotations

MOST_UNKNOWN = 0.1
"""Above this share of unknown tokens the figures say little about the text, and bits per character are withheld.

All unknown tokens count as one token, ``<unk>``, which is easy to predict and stands for many characters.
"""


def percent(share: float) -> str:
    """Return a share as a percentage, such as ``4.6 %``."""
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.1g} %"


def unknown_in_words(name: str, unknown: int, tokens: int, example: str) -> str:
    """Return in words how many tokens of a text are unknown, with one of them as an example."""
    return (
        f"{name}: {percent(unknown / tokens)} of the tokens ({unknown:,} of {tokens:,}) are not in the vocabulary, "
        f"{example!r} for one"
    )
