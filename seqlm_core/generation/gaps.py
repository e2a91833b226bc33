"""Cuts a text with gaps into tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from seqlm_core.errors import SettingError, UsageError
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary

DEFAULT_MARK = "_"
MOST_TOKENS_OF_MARK = 1000


@dataclasses.dataclass(frozen=True)
class GappedText:
    """A text with missing tokens.

    Attributes:
        tokens: all tokens in order; a missing token is an empty text.
        gaps: for each gap the positions of its tokens, in order.
        beginnings: the white space that a missing token has to begin with, by the token's position.
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

    Some tokenizers put the white space before a word into the word's token. With these, white space before a mark
    belongs to the first token of the gap.

    Args:
        text: a text with marks in the place of missing tokens; marks without anything between them are one gap.
        mark: the text of a mark; not empty.
        tokens_of_mark: number of tokens that each mark stands for, from 1 to ``MOST_TOKENS_OF_MARK``.
        tokenizer: cuts the text between the marks.
        vocabulary: the model's vocabulary.

    Raises:
        SettingError: the mark is empty.
        UsageError: the text has no mark.
    """
    if not mark:
        raise SettingError("mark", "must not be empty")
    *pieces, last = text.split(mark)
    if not pieces:
        raise UsageError(f"the text has no gap: the mark {mark!r} is not in it")
    fitting = fitting_tokens(tokenizer, vocabulary)
    tokens: list[str] = []
    gaps: list[range] = []
    beginnings: dict[int, str] = {}
    for piece in pieces:
        before, beginning = cut_before_token(piece, tokenizer, fitting)
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


def leading_white_space(tokenizer: Tokenizer, vocabulary: Vocabulary) -> list[str]:
    """Return for each token of the vocabulary the white space that it begins with; empty if nothing else follows."""
    return [
        _beginning(tokenizer.detokenize([token])) if token_id != UNKNOWN_ID else ""
        for token_id, token in enumerate(vocabulary.tokens)
    ]


def fitting_tokens(tokenizer: Tokenizer, vocabulary: Vocabulary) -> dict[str, str]:
    """Return, for each white space that tokens begin with, the text of the most frequent token that begins so."""
    fitting: dict[str, str] = {}
    for token, beginning in zip(vocabulary.tokens, leading_white_space(tokenizer, vocabulary)):
        if beginning and beginning not in fitting:
            fitting[beginning] = tokenizer.detokenize([token])
    return fitting


def _beginning(text: str) -> str:
    visible = text.lstrip()
    return text[: len(text) - len(visible)] if visible else ""


def cut_before_token(text: str, tokenizer: Tokenizer, fitting: Mapping[str, str]) -> tuple[list[str], str]:
    """Cut a text that another token follows; white space at its end may belong to that token.

    To find out, the text is cut together with a token that begins with such white space.

    Args:
        text: the text before the token.
        tokenizer: cuts the text.
        fitting: from :func:`fitting_tokens`.

    Returns:
        The tokens of the text, and the white space at its end that belongs to the next token.
    """
    longest = min(len(text) - len(text.rstrip()), max(map(len, fitting), default=0))
    for length in range(longest, 0, -1):
        before, space = text[:-length], text[-length:]
        if space not in fitting:
            continue
        tokens = tokenizer.tokenize(before + fitting[space])
        for end in range(len(tokens) - 1, -1, -1):
            read = tokenizer.detokenize(tokens[:end])
            if read == before:
                return tokens[:end], space
            if len(read) < len(before):
                break
    return tokenizer.tokenize(text), ""
