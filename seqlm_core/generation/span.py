"""A span of a text with missing tokens, which a bidirectional model reads from both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.generation.decoding import draw, token_weights
from seqlm_core.generation.generate import Uniforms
from seqlm_core.generation.network import TextNetwork
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.settings.decoding_rules import DecodingRules


class Context(NamedTuple):
    """The result of reading up to a span in one direction, as a single row.

    Attributes:
        hidden: the hidden vector; None if there was nothing to read.
        states: the network's states.
    """

    hidden: Any | None
    states: Any


class Judgement(NamedTuple):
    """The model's log-probabilities of texts of a span, in nats.

    Attributes:
        likelihoods: log-probability of the span and the text after it, read from left to right, ``(rows,)``.
        both_sides: log-probability of each missing token, given all other tokens on both sides, ``(rows, missing)``.
    """

    likelihoods: np.ndarray
    both_sides: np.ndarray


class Span:
    """A sequence of tokens of which at least the first and the last are missing, between a left and a right context.

    The texts of a span are ids ``(rows, length)``, which differ only in the missing tokens.

    Args:
        network: the network of a bidirectional model.
        vocabulary: the model's vocabulary.
        allowed: for the position of each missing token in the span, whether each token may stand there, bool
            ``(vocabulary,)``; in the order of the positions. The first position is 0, the last that of the last token.
        left: the left context: after reading the text before the span.
        right: the right context: after reading the text after the span, from right to left.
    """

    def __init__(
        self,
        network: TextNetwork,
        vocabulary: Vocabulary,
        allowed: Mapping[int, np.ndarray],
        left: Context,
        right: Context,
    ) -> None:
        self._network = network
        self._vocabulary = vocabulary
        self._allowed = allowed
        self._length = max(allowed) + 1
        self._left = left
        self._right = right

    @property
    def missing(self) -> int:
        """The number of missing tokens."""
        return len(self._allowed)

    def most_probable(self, count: int) -> np.ndarray:
        """Return the ids of the ``count`` most probable tokens, given both contexts, the most probable first.

        The span must have a single token. There may be fewer than ``count``.
        """
        (log_probabilities,) = self._predict(self._left.hidden, self._right.hidden, 1)
        log_probabilities[~self._allowed[0]] = -np.inf
        return np.argsort(-log_probabilities, kind="stable")[: min(count, self._allowed[0].sum())]

    def draft(self, texts: np.ndarray, rules: DecodingRules, uniforms: Uniforms) -> list[Any | None]:
        """Draw the missing tokens from left to right, without regard to the text after them; see :meth:`sweep`."""
        return self.sweep(texts, [None] * self._length, rules, uniforms, from_left=True)

    def sweep(
        self, texts: np.ndarray, others: Sequence[Any | None], rules: DecodingRules, uniforms: Uniforms, from_left: bool
    ) -> list[Any | None]:
        """Draw each missing token again, in place, given all other tokens.

        Args:
            texts: texts of the span, ids ``(rows, length)``.
            others: for each position the hidden vectors of the other direction, as the sweep before in that direction
                returned them; None for predictions without that direction.
            rules: the decoding rules.
            uniforms: random numbers for each row.
            from_left: whether tokens are drawn from left to right; otherwise they are drawn from right to left.

        Returns:
            For each position the hidden vectors of this direction before it has read the position's token.
        """
        read = self._network.read if from_left else self._network.read_right
        hidden, states = self._begin(self._left if from_left else self._right, len(texts))
        order = range(self._length) if from_left else range(self._length - 1, -1, -1)
        passed: list[Any | None] = [None] * self._length
        for position in order:
            passed[position] = hidden
            if position in self._allowed:
                sides = (hidden, others[position]) if from_left else (others[position], hidden)
                log_probabilities = self._predict(*sides, len(texts))
                log_probabilities[:, ~self._allowed[position]] = -np.inf
                texts[:, position] = draw(token_weights(rules, log_probabilities), uniforms.next())
            if position != order[-1]:
                hidden, states = read(texts[:, position], states)
        return passed

    def judge(self, texts: np.ndarray, following: np.ndarray) -> Judgement:
        """Return the model's log-probabilities of texts of the span.

        Args:
            texts: texts of the span, ids ``(rows, length)``.
            following: ids ``(steps,)`` of the text after the span, which counts for the likelihood.
        """
        rows = np.arange(len(texts))
        read = np.concatenate([texts, np.broadcast_to(following, (len(texts), len(following)))], axis=1)
        likelihoods = np.zeros(len(texts))
        passed = []
        hidden, states = self._begin(self._left, len(texts))
        for position in range(read.shape[1]):
            passed.append(hidden)
            likelihoods += self._predict(hidden, None, len(texts))[rows, read[:, position]]
            if position + 1 < read.shape[1]:
                hidden, states = self._network.read(read[:, position], states)
        both_sides = np.zeros((len(texts), self._length))
        hidden, states = self._begin(self._right, len(texts))
        for position in range(self._length - 1, -1, -1):
            if position in self._allowed:
                log_probabilities = self._predict(passed[position], hidden, len(texts))
                both_sides[:, position] = log_probabilities[rows, texts[:, position]]
            if position:
                hidden, states = self._network.read_right(texts[:, position], states)
        return Judgement(likelihoods, both_sides[:, list(self._allowed)])

    def _begin(self, context: Context, rows: int) -> tuple[Any | None, Any]:
        """Return a context's hidden vector and states, repeated for each row."""
        same = np.zeros(rows, dtype=np.int64)
        hidden = None if context.hidden is None else self._network.select(context.hidden, same)
        return hidden, self._network.select(context.states, same)

    def _predict(self, left: Any | None, right: Any | None, rows: int) -> np.ndarray:
        """Return the log-probabilities of the token between two contexts in nats, float64 ``(rows, vocabulary)``.

        No model is trained to predict the first token of a text. So if there is nothing on the left, zeros stand for
        the left hidden vector, as they stand for the right one in training where the right side is hidden. If there is
        nothing on either side, the probabilities are the tokens' frequencies in training.
        """
        if left is None:
            if right is None:
                return np.tile(self._vocabulary.log_frequencies(), (rows, 1))
            left = right * 0
        return self._network.log_probabilities(left, right).astype(np.float64)


def begin_text(network: TextNetwork, start: int | None) -> Context:
    """Return what is on the left of a text's first token: nothing, or a token with the id ``start``."""
    states = network.begin(1)
    return Context(None, states) if start is None else Context(*network.read(np.array([start]), states))
