"""A text with gaps, cut into tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from seqlm_core.errors import SettingError, UsageError
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary
from seqlm_core.specs import Tokenizer

DEFAULT_MARK = "_"


@dataclasses.dataclass(frozen=True)
class GappedText:
    """A text of which some tokens are missing.

    Attributes:
        tokens: in order; empty texts in the gaps.
        gaps: the positions of each gap's tokens, in order.
        beginnings: white space that the token at a position has to begin with.
    """

    tokens: tuple[str, ...]
    gaps: tuple[range, ...]
    beginnings: dict[int, str]

    def known_tokens(self) -> list[str]:
        """Return the tokens that are not missing."""
        missing = {position for gap in self.gaps for position in gap}
        return [token for position, token in enumerate(self.tokens) if position not in missing]


def cut_gapped_text(
    text: str, mark: str, tokens_of_mark: int, tokenizer: Tokenizer, vocabulary: Vocabulary
) -> GappedText:
    """Return the tokens and gaps of a text with marks.

    Where a tokenizer puts the white space before a word into that word's token, white space before a mark belongs to
    the first token of the gap.

    Args:
        text: with marks where tokens are missing; marks that follow each other are one gap.
        mark: any text that is not empty.
        tokens_of_mark: how many tokens each mark stands for.
        tokenizer: cuts what is between the marks.
        vocabulary: of the model.

    Raises:
        SettingError: the mark is empty, or stands for no token.
        UsageError: the text has no mark.
    """
    if not mark:
        raise SettingError("mark", "must not be empty")
    if tokens_of_mark < 1:
        raise SettingError("gap", f"must be at least 1, not {tokens_of_mark}")
    *pieces, last = text.split(mark)
    if not pieces:
        raise UsageError(f"the text has no gap: the mark {mark!r} is not in it")
    tokens: list[str] = []
    gaps: list[range] = []
    beginnings: dict[int, str] = {}
    for piece in pieces:
        before, beginning = _cut_before_gap(piece, tokenizer, vocabulary)
        tokens += before
        start, end = len(tokens), len(tokens) + tokens_of_mark
        if beginning:
            beginnings[start] = beginning
        if gaps and not piece:
            gaps[-1] = range(gaps[-1].start, end)
        else:
            gaps.append(range(start, end))
        tokens += [""] * tokens_of_mark
    tokens += tokenizer.tokenize(last)
    return GappedText(tuple(tokens), tuple(gaps), beginnings)


def tokens_beginning_with(beginning: str, tokenizer: Tokenizer, vocabulary: Vocabulary) -> np.ndarray:
    """Return which tokens of the vocabulary are white space ``beginning`` and something visible, bool."""
    return np.array(list(_begin_with(beginning, tokenizer, vocabulary)), dtype=bool)


def _begin_with(beginning: str, tokenizer: Tokenizer, vocabulary: Vocabulary) -> Iterator[bool]:
    for token_id, token in enumerate(vocabulary.tokens):
        text = tokenizer.detokenize([token]) if token_id != UNKNOWN_ID else ""
        rest = text[len(beginning) :]
        yield text.startswith(beginning) and not rest[:1].isspace() and rest != ""


def _cut_before_gap(text: str, tokenizer: Tokenizer, vocabulary: Vocabulary) -> tuple[list[str], str]:
    """Return the tokens of a text that a gap follows, and the white space at its end that is the gap's.

    That is found out by cutting the text with the most frequent token in the gap that begins with such white space.
    """
    for length in range(len(text) - len(text.rstrip()), 0, -1):
        before, space = text[:-length], text[-length:]
        fitting = next((i for i, fits in enumerate(_begin_with(space, tokenizer, vocabulary)) if fits), None)
        if fitting is None:
            continue
        tokens = tokenizer.tokenize(before + tokenizer.detokenize([vocabulary.tokens[fitting]]))
        for end in range(len(tokens) - 1, -1, -1):
            read = tokenizer.detokenize(tokens[:end])
            if read == before:
                return tokens[:end], space
            if len(read) < len(before):
                break
    return tokenizer.tokenize(text), ""
