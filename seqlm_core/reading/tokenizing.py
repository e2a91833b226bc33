"""Cutting a text into tokens, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from seqlm_core.errors import PluginError
from seqlm_core.plugins.guarded_tokenizer import tokenizer_title
from seqlm_core.plugins.specs import Tokenizer

CHECKED = 100_000
"""So many characters at the beginning of a text are joined again, to see whether the tokenizer loses some."""


def tokenize_blocks(blocks: Iterable[str], tokenizer: Tokenizer) -> Iterator[list[str]]:
    """Yield the tokens of a text that comes in blocks. They are the tokens of the whole text."""
    for text in cut_blocks(blocks, tokenizer):
        yield tokenizer.tokenize(text)


def distinct_tokens(tokenizer: Tokenizer, text: str) -> tuple[list[str], np.ndarray]:
    """Return the distinct tokens of a text as they first occur, and the place of each token among them, int32."""
    places: dict[str, int] = {}
    tokens = tokenizer.tokenize(text)
    of_tokens = np.fromiter((places.setdefault(token, len(places)) for token in tokens), np.int32, len(tokens))
    return list(places), of_tokens


def cut_blocks(blocks: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    """Yield a text that comes in blocks, cut where the tokenizer may cut it, after checking that it loses nothing."""
    rest = ""
    first = True
    for block in blocks:
        rest += block
        cut = tokenizer.last_cut(rest)
        if cut:
            if first:
                _check_lossless(tokenizer, rest[: min(cut, CHECKED)])
            first = False
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        if first:
            _check_lossless(tokenizer, rest[:CHECKED])
        yield rest


def _check_lossless(tokenizer: Tokenizer, text: str) -> None:
    """Raise :class:`PluginError` if the tokens, joined, are not the text: the figures would be wrong."""
    joined = tokenizer.detokenize(tokenizer.tokenize(text))
    if joined != text:
        differing = (place for place, (one, other) in enumerate(zip(joined, text)) if one != other)
        same = next(differing, min(len(joined), len(text)))
        start = max(0, same - 10)
        raise PluginError(
            f"{tokenizer_title(tokenizer)} loses text: {text[start : same + 10]!r} is {joined[start : same + 10]!r} "
            "after tokenize and detokenize; keep everything in the tokens, white space and capitals too, such as a "
            "space as the first character of the token that it stands before"
        )
