"""How surprising each token of a text is to a language model, or each line."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from seqlm_core.generation.network import TextNetwork
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.tokenizing import tokenize_blocks
from seqlm_core.reading.unknown import MOST_UNKNOWN, unknown_in_words
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary

logger = logging.getLogger("seqlm")


@dataclasses.dataclass(frozen=True)
class TokenSurprisal:
    """One token of a text.

    Attributes:
        token: its text.
        bits: minus the binary logarithm of the probability that the model gave it after all that came before (Shannon
            1948); None of the first token, which is not predicted.
        known: whether it is in the vocabulary; the surprisal of one that is not is that of any unknown token.
    """

    token: str
    bits: float | None
    known: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class LineSurprisal:
    """One line of a text, or what of it came with a token that reaches over its end.

    Attributes:
        text: the line, without its end.
        bits: sum of the surprisals of its tokens.
        tokens: how many of them are predicted.
        unknown_tokens: how many of these are not in the vocabulary.
    """

    text: str
    bits: float
    tokens: int
    unknown_tokens: int

    @property
    def bits_per_token(self) -> float:
        """Mean surprisal of a token; 0 where none is predicted."""
        return self.bits / self.tokens if self.tokens else 0.0

    @property
    def unknown_share(self) -> float:
        """Share of unknown tokens among those that are predicted."""
        return self.unknown_tokens / self.tokens if self.tokens else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            **dataclasses.asdict(self),
            "unknown_share": self.unknown_share,
            "bits_per_token": self.bits_per_token,
        }


def token_surprisals(
    network: TextNetwork, vocabulary: Vocabulary, tokenizer: Tokenizer, blocks: Iterator[str]
) -> Iterator[TokenSurprisal]:
    """Yield the tokens of a text, which comes in blocks, with their surprisals, reading from left to right."""
    states = network.begin(1)
    log_probabilities: np.ndarray | None = None
    for tokens in tokenize_blocks(blocks, tokenizer):
        for token in tokens:
            token_id = vocabulary.id(token)
            bits = None if log_probabilities is None else -float(log_probabilities[0, token_id]) / math.log(2)
            yield TokenSurprisal(token, bits, token_id != UNKNOWN_ID)
            hidden, states = network.read(np.array([token_id]), states)
            log_probabilities = network.log_probabilities(hidden)


def warn_of_unknown(surprisals: Iterator[TokenSurprisal], name: str) -> Iterator[TokenSurprisal]:
    """Yield what comes, and at the end warn of tokens that were not known."""
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
    """Yield the lines of a text; a line ends with the token that holds its line feed, or with the text."""
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
