"""Words and punctuation marks, found by NLTK's tokenizer, which needs no downloaded data.

A single space before a word belongs to that word's token; other white space, such as that between two paragraphs, is
a token of its own. So the tokens, joined, are the text again.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import seqlm_core as seqlm

# Where a text is split before NLTK sees it: words with a space before them, and white space up to that space. Longer
# pieces are no words; cutting them bounds NLTK's work.
PIECE = re.compile(r" ?\S{1,200}|\s{1,200}?(?= ?\S|\Z)|\s{1,200}")
LAST_WORD_END = re.compile(r"(?<=\S)\s+\S*\Z")
REMEMBERED_PIECES = 1 << 16


class WordTokenizer:
    """Cuts a text into words, punctuation marks and white space."""

    def __init__(self) -> None:
        # Most pieces of a text have occurred before.
        self._tokens_of_piece = functools.lru_cache(maxsize=REMEMBERED_PIECES)(split_piece)

    def tokenize(self, text: str) -> list[str]:
        return [token for piece in PIECE.findall(text) for token in self._tokens_of_piece(piece)]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def last_cut(self, text: str) -> int:
        # The first white space after a word begins a piece whatever follows, so the text may be cut before it.
        found = LAST_WORD_END.search(text)
        return found.start() if found else 0


@functools.cache
def nltk_tokenizer() -> Any:
    # NLTK takes a moment to import, and listing the plugins does not need it.
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


def split_piece(piece: str) -> tuple[str, ...]:
    """Return the tokens of a piece that has no white space but for a space at its beginning."""
    word = piece.lstrip(" ")
    if not word.strip():
        return (piece,)
    try:
        spans = list(nltk_tokenizer().span_tokenize(word))
    except ValueError:  # NLTK cannot place its own tokens in some odd strings
        return (piece,)
    # Each token reaches to the start of the next, so that nothing between them is lost.
    starts = sorted({0, *(start for start, _ in spans)})
    tokens = [word[start:end] for start, end in zip(starts, [*starts[1:], len(word)])]
    tokens[0] = piece[: len(piece) - len(word)] + tokens[0]
    return tuple(tokens)


def build(options: seqlm.NoOptions) -> WordTokenizer:
    return WordTokenizer()


@seqlm.hookimpl
def seqlm_tokenizers() -> seqlm.TokenizerSpec:
    return seqlm.TokenizerSpec("word", "words and punctuation (NLTK)", build, default_min_count=2)
