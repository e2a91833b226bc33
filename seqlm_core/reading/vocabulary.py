"""The vocabulary: the tokens that a model knows, in an order that is the same on every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seqlm_core.errors import TextError
from seqlm_core.storage.schema import COUNT, TEXT, check

UNKNOWN = "<unk>"
UNKNOWN_ID = 0


class Vocabulary:
    """Tokens and their ids. Id 0 is ``<unk>``, which stands for all tokens that are not in the vocabulary.

    Some texts, such as Penn Treebank, hold ``<unk>`` in the place of rare words. If such a text lacks no token, it is
    the text's own ``<unk>`` that stands for unknown tokens, and id 0 stands for nothing.

    Args:
        tokens: the tokens with ids from 1 upwards.
        counts: how often ``<unk>`` and each of the tokens occur in the training text.

    Attributes:
        unknown_id: the id of unknown tokens.
    """

    def __init__(self, tokens: Sequence[str], counts: Sequence[int]) -> None:
        if len(counts) != len(tokens) + 1:
            raise ValueError(f"{len(tokens)} tokens need {len(tokens) + 1} counts, not {len(counts)}")
        self.tokens = [UNKNOWN, *tokens]
        self.counts = np.array(counts, dtype=np.int64)
        self._ids = {token: i for i, token in enumerate(tokens, start=1)}
        own = (i for token, i in self._ids.items() if token.strip() == UNKNOWN)
        self.unknown_id = UNKNOWN_ID if self.counts[UNKNOWN_ID] else next(own, UNKNOWN_ID)

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], min_count: int = 1, max_vocabulary: int = 0, others: int = 0
    ) -> Vocabulary:
        """Return the vocabulary of a training text, sorted by descending count, then by token.

        Args:
            counts: how often each token occurs in the training text.
            min_count: the fewest occurrences of a token in the vocabulary.
            max_vocabulary: the most tokens to keep, not counting ``<unk>``; 0 keeps all.
            others: how many tokens of the training text are not in ``counts``.
        """
        kept = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
        if max_vocabulary:
            kept = kept[:max_vocabulary]
        if not kept:
            raise TextError(f"no token occurs {min_count} times or more in the training text; lower `min_count`")
        known = [counts[token] for token in kept]
        return cls(kept, [others + sum(counts.values()) - sum(known), *known])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def id(self, token: str) -> int:
        """Return the id of ``token``, :attr:`unknown_id` if it is not in the vocabulary."""
        return self._ids.get(token, self.unknown_id)

    def ids(self, tokens: Iterable[str]) -> np.ndarray:
        """Return the ids of ``tokens`` as int32."""
        get, unknown = self._ids.get, self.unknown_id
        return np.fromiter((get(token, unknown) for token in tokens), dtype=np.int32)

    def frequencies(self) -> np.ndarray:
        """Return each token's share of the known tokens of the training text. That of ``<unk>`` is 0."""
        counts = self.counts.astype(np.float64)
        counts[UNKNOWN_ID] = 0
        return counts / counts.sum()

    def expected_counts(self) -> np.ndarray:
        """Return the counts, but half an occurrence for a token that may occur and never does, and 0 if it cannot."""
        expected = np.maximum(self.counts.astype(np.float64), 0.5)
        if self.unknown_id != UNKNOWN_ID:
            expected[UNKNOWN_ID] = 0
        return expected

    def log_frequencies(self) -> np.ndarray:
        """Return the logarithms of the frequencies. That of a frequency of 0 is a very low finite number."""
        return np.log(np.maximum(self.frequencies(), np.finfo(np.float64).tiny))

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` makes the same vocabulary."""
        return {"tokens": self.tokens[1:], "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, values: Any) -> Vocabulary:
        """Make the vocabulary from what :meth:`to_json` returned.

        Raises:
            ValueError: the values do not describe a vocabulary.
        """
        check(values, {"tokens": [TEXT, ...], "counts": [COUNT, ...]}, "the vocabulary")
        tokens, counts = values["tokens"], values["counts"]
        if len(set(tokens)) != len(tokens):
            raise ValueError("a token of the vocabulary occurs twice")
        if not any(counts[1:]):
            raise ValueError("the counts of all tokens are 0")
        return cls(tokens, counts)
