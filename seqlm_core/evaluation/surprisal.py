"""The surprisal of each token, or of each line, of a text under a language model."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Callable

import numpy as np

from seqlm_core.generation.network import TextNetwork
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.unknown import MOST_UNKNOWN, unknown_in_words
from seqlm_core.reading.vocabulary import Vocabulary

logger = logging.getLogger("seqlm")


@dataclasses.dataclass(frozen=True)
class TokenSurprisal:
    """A token of a text and its surprisal.

    Attributes:
        token: the token's text.
        bits: the surprisal: minus the binary logarithm of the token's probability given the text before it (Shannon
            1948); None for the first token, which is not predicted.
        known: whether the token is in the vocabulary. If not, its surprisal is that of ``<unk>``.
    """

    token: str
    bits: float | None
    known: bool

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as values that JSON can hold."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class LineSurprisal:
    """A line of a text and its surprisal. If a token spans the end of a line, all of it belongs to this line.

    Attributes:
        text: the text of the line, without the line feed at its end.
        bits: the sum of the surprisals of its tokens.
        tokens: number of its tokens that are predicted.
        unknown_tokens: number of these that are not in the vocabulary.
    """

    text: str
    bits: float
    tokens: int
    unknown_tokens: int

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of a token in bits; 0 if none is predicted."""
        return self.bits / self.tokens if self.tokens else 0.0

    @property
    def unknown_share(self) -> float:
        """The share of the predicted tokens that are unknown, from 0 to 1."""
        return self.unknown_tokens / self.tokens if self.tokens else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the attributes and the means as values that JSON can hold."""
        return {
            **dataclasses.asdict(self),
            "unknown_share": self.unknown_share,
            "bits_per_token": self.bits_per_token,
        }


def token_surprisals(
    network: TextNetwork, vocabulary: Vocabulary, tokens: Iterable[tuple[str, bool]], start: int | None = None
) -> Iterator[TokenSurprisal]:
    """Yield the tokens of a text with their surprisals, reading from left to right.

    Args:
        network: predicts the next token.
        vocabulary: the model's vocabulary.
        tokens: the tokens, and whether each is the last one of a document.
        start: id of a token that is read before the text; None reads none.
    """
    states = network.begin(1)
    log_probabilities: np.ndarray | None = None
    if start is not None:
        hidden, states = network.read(np.array([start]), states)
        log_probabilities = network.log_probabilities(hidden)
    for token, ends in tokens:
        token_id = vocabulary.id(token)
        bits = None if log_probabilities is None else -float(log_probabilities[0, token_id]) / math.log(2)
        yield TokenSurprisal(token, bits, token in vocabulary)
        hidden, states = network.read(np.array([token_id]), network.begin(1) if ends else states)
        log_probabilities = network.log_probabilities(hidden)


def adapted_surprisals(
    losses: Callable[[Iterable[tuple[int, bool]]], Iterator[np.ndarray]],
    vocabulary: Vocabulary,
    tokens: Iterable[tuple[str, bool]],
    start: int | None = None,
) -> Iterator[TokenSurprisal]:
    """Yield the tokens of a text with their surprisals under a model that takes something from the text as it reads.

    Args:
        losses: yields the losses of the tokens with these ids but the first, some at a time and in order; see
            :meth:`~seqlm_core.evaluation.reading.RuledReading.losses`.
        vocabulary: the model's vocabulary.
        tokens: the tokens, and whether each is the last one of a document.
        start: id of a token that is read before the text; None reads none.
    """
    read: deque[str] = deque()  # tokens whose losses are not known yet

    def ids() -> Iterator[tuple[int, bool]]:
        if start is not None:
            yield start, True
        for token, ends in tokens:
            read.append(token)
            yield vocabulary.id(token), ends

    def surprisal(bits: float | None) -> TokenSurprisal:
        token = read.popleft()
        return TokenSurprisal(token, bits, token in vocabulary)

    is_first = start is None
    for some in losses(ids()):
        if is_first:
            yield surprisal(None)
            is_first = False
        yield from (surprisal(float(nats) / math.log(2)) for nats in some)
    if read:  # a text of one token, which is not predicted
        yield surprisal(None)


def with_unknown_warning(surprisals: Iterator[TokenSurprisal], name: str) -> Iterator[TokenSurprisal]:
    """Yield the surprisals unchanged, and at the end warn if tokens were unknown; the warning names the text."""
    tokens, unknown, first = 0, 0, ""
    for surprisal in surprisals:
        if surprisal.bits is not None:
            tokens += 1
            if not surprisal.known:
                unknown, first = unknown + 1, first or surprisal.token
        yield surprisal
    if unknown:
        logger.warning(
            "%s; their surprisal is that of <unk>%s",
            unknown_in_words(name, unknown, tokens, first),
            ", which is easy to predict: THE FIGURES ARE FAR TOO LOW" if unknown / tokens > MOST_UNKNOWN else "",
        )


def line_surprisals(surprisals: Iterator[TokenSurprisal], tokenizer: Tokenizer) -> Iterator[LineSurprisal]:
    """Yield the lines of a text; a line ends with the token that holds a line feed, or with the text."""
    line_feeds = 0

    def line_of(surprisal: TokenSurprisal) -> int:
        nonlocal line_feeds
        line = line_feeds
        line_feeds += "\n" in surprisal.token
        return line

    for _, line in itertools.groupby(surprisals, line_of):
        yield _line(line, tokenizer)


def _line(line: Iterable[TokenSurprisal], tokenizer: Tokenizer) -> LineSurprisal:
    tokens, bits, predicted, unknown = [], 0.0, 0, 0
    for surprisal in line:
        tokens.append(surprisal.token)
        if surprisal.bits is not None:
            bits += surprisal.bits
            predicted += 1
            unknown += not surprisal.known
    return LineSurprisal(tokenizer.detokenize(tokens).rstrip("\r\n"), bits, predicted, unknown)
