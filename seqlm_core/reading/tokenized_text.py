"""A text as token ids, of which only those in use are in memory."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.documents import start_id
from seqlm_core.reading.numbering import START_NUMBER, NumberedText
from seqlm_core.reading.unknown import MOST_UNKNOWN, unknown_in_words
from seqlm_core.reading.vocabulary import Vocabulary

logger = logging.getLogger("seqlm")

ITERATED_AT_A_TIME = 1 << 16


class TokenIds:
    """The ids of a text's tokens, looked up where they are read, so that a text serves any vocabulary.

    Args:
        numbers: the numbers of the tokens, usually memory-mapped.
        id_of_number: the id of each number, int32.
    """

    def __init__(self, numbers: np.ndarray, id_of_number: np.ndarray) -> None:
        self._numbers = numbers
        self._id_of_number = id_of_number

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, positions: Any) -> Any:
        return self._id_of_number[self._numbers[positions]]

    def __iter__(self) -> Iterator[int]:
        for start in range(0, len(self), ITERATED_AT_A_TIME):
            yield from self[start : start + ITERATED_AT_A_TIME].tolist()


@dataclasses.dataclass(frozen=True)
class TokenizedText:
    """A text as token ids.

    Attributes:
        ids: the token ids.
        characters: the number of characters in all tokens but the first, which is not predicted.
        unknown_tokens: how many of all tokens but the first are not in the vocabulary.
        first_unknown: one of the unknown tokens, as an example; None if there is none.
        name: what messages call the text.
        ends: whether each token is the last one of a document, so that it is read with a fresh state, uint8; the first
            token is one then that the text does not have, and that predicts its first. None without documents.
    """

    ids: np.ndarray | TokenIds
    characters: int
    unknown_tokens: int
    first_unknown: str | None = None
    name: str = "the text"
    ends: np.ndarray | None = None

    @classmethod
    def of(
        cls, text: NumberedText, tokens: list[str], tokenizer: Tokenizer, vocabulary: Vocabulary, name: str
    ) -> TokenizedText:
        """Return a text with the ids of a vocabulary.

        Args:
            text: the text, with at least one token.
            tokens: the tokens of the numbers from 1 on.
            tokenizer: cut the text.
            vocabulary: has the ids.
            name: what messages call the text.
        """
        first = int(text.numbers[0])
        counts = np.zeros(len(tokens), dtype=np.int64)
        counts[: len(text.counts) - 1] = text.counts[1:]
        if first != START_NUMBER:
            counts[first - 1] -= 1
        known = np.fromiter((token in vocabulary for token in tokens), dtype=bool, count=len(tokens))
        unknown = np.where(known, 0, counts)
        # Number 0 occurs with documents alone.
        id_of_number = np.append(
            start_id(vocabulary, tokenizer) if text.ends is not None else 0, vocabulary.ids(tokens)
        )
        return cls(
            TokenIds(text.numbers, id_of_number.astype(np.int32)),
            text.characters - (0 if first == START_NUMBER else len(tokenizer.detokenize([tokens[first - 1]]))),
            int(unknown.sum()),
            tokens[int(unknown.argmax())] if unknown.any() else None,
            name,
            text.ends,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def with_ends(self) -> Iterator[tuple[int, bool]]:
        """Yield each token's id, and whether the token is the last one of a document."""
        return zip(self.ids, itertools.repeat(False) if self.ends is None else map(bool, self.ends))

    @property
    def unknown_share(self) -> float:
        """The share of unknown tokens among all tokens but the first."""
        return self.unknown_tokens / max(1, len(self) - 1)


def warn_of_unknown_tokens(text: TokenizedText, mend: str = "") -> None:
    """Warn if tokens of ``text`` are not in the vocabulary: show one of them, and say what that means for the figures.

    Args:
        text: the text that the figures are of.
        mend: advice for the case that so many tokens are unknown that the figures say little.
    """
    if text.first_unknown is None:
        return
    unknown = unknown_in_words(text.name, text.unknown_tokens, len(text) - 1, text.first_unknown)
    if text.unknown_share > MOST_UNKNOWN:
        logger.warning(
            "%s; THE FIGURES ARE FAR TOO GOOD, since all of these count as one token, <unk>, which is easy to predict; "
            "bits per character are withheld%s",
            unknown,
            mend and f"; {mend}",
        )
    else:
        logger.warning("%s; bits per character are not comparable then", unknown)
