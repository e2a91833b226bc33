"""A stretch of a text with missing tokens, seen by a bidirectional model from both sides."""

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
    """What one direction of a model has read up to a span, one row.

    Attributes:
        hidden: the hidden vector; None where there is nothing to read.
        states: of the network.
    """

    hidden: Any | None
    states: Any


class Judgement(NamedTuple):
    """How probable a model finds texts of a span, in nats.

    Attributes:
        likelihoods: log-probabilities ``(rows,)`` of the span and what follows, from left to right.
        both_sides: log-probabilities ``(rows, missing)`` of each missing token given everything else on both sides.
    """

    likelihoods: np.ndarray
    both_sides: np.ndarray


class Span:
    """Tokens from a missing one to a missing one, between a left and a right context.

    The texts of a span are ids ``(rows, length)``, the same but for the missing tokens.

    Args:
        network: of a bidirectional model.
        vocabulary: of the model.
        allowed: which tokens may stand at the position of each missing token in the span, bool ``(vocabulary,)``, in
            the order of the positions; the first is 0, the last that of the span's last token.
        left: what was read before the span.
        right: what was read after it, from the right.
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
        """Return the tokens, at most ``count``, that are most probable where the first missing one is, best first.

        That is given both contexts, so the span must lack no other token.
        """
        (log_probabilities,) = self._predict(self._left.hidden, self._right.hidden, 1)
        log_probabilities[~self._allowed[0]] = -np.inf
        return np.argsort(-log_probabilities, kind="stable")[: min(count, self._allowed[0].sum())]

    def draft(self, texts: np.ndarray, rules: DecodingRules, uniforms: Uniforms) -> list[Any | None]:
        """Draw the missing tokens from left to right without regard to what follows; see :meth:`sweep`."""
        return self.sweep(texts, [None] * self._length, rules, uniforms, from_left=True)

    def sweep(
        self, texts: np.ndarray, others: Sequence[Any | None], rules: DecodingRules, uniforms: Uniforms, from_left: bool
    ) -> list[Any | None]:
        """Draw each missing token anew, in place, given everything else.

        Args:
            texts: of the span.
            others: for each position the hidden vectors of the direction that this sweep does not read in, which a
                sweep in that direction has returned; None leaves out what that direction knows.
            rules: for drawing.
            uniforms: random numbers for each row.
            from_left: draw from the left to the right instead of from the right to the left.

        Returns:
            The hidden vectors of the sweep's own direction before it reads each position.
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
        """Return how probable the model finds texts of the span.

        Args:
            texts: of the span.
            following: ids ``(steps,)`` of what follows them, for the likelihood.
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
        """Return a context's hidden vectors and states in each row."""
        same = np.zeros(rows, dtype=np.int64)
        hidden = None if context.hidden is None else self._network.select(context.hidden, same)
        return hidden, self._network.select(context.states, same)

    def _predict(self, left: Any | None, right: Any | None, rows: int) -> np.ndarray:
        """Return log-probabilities in nats, float64 ``(rows, vocabulary)``, of the token between hidden vectors.

        A model is not trained to predict a text's first token. Where there is nothing on the left the head is given a
        hidden vector of zeros, as in training where the right side is hidden; where there is nothing on either side,
        the prediction is the tokens' frequencies in training.
        """
        if left is None:
            if right is None:
                return np.tile(self._vocabulary.log_frequencies(), (rows, 1))
            left = right * 0
        return self._network.log_probabilities(left, right).astype(np.float64)
