"""Draws the next tokens of several texts side by side: step by step in Python, or with the native library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from seqlm_core.generation.decoding import draw, token_weights
from seqlm_core.generation.document_network import DocumentNetwork
from seqlm_core.generation.native_network import NativeNetwork
from seqlm_core.generation.network import TextNetwork
from seqlm_core.settings.decoding_rules import DecodingRules

# The most tokens of each text that are drawn in one call. With more, a token takes less time, but the first one comes
# later, and more tokens are drawn in vain after a stop text. A call of the native library is limited to about as many
# multiplications as take some hundredths of a second.
STEP_POSITIONS = 16
NATIVE_POSITIONS = 256
NATIVE_MULTIPLICATIONS = 100_000_000


class Drawing(Protocol):
    """Several texts whose next tokens can be drawn.

    Attributes:
        most_positions: the largest number of tokens of each text to draw in one call.
    """

    most_positions: int

    def draw(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of the next tokens and their log-probabilities in nats, both ``(texts, positions)``.

        Args:
            uniforms: random numbers ``(texts, positions)``, at least 0 and below 1; at most ``most_positions``
                positions.
        """

    def keep(self, texts: np.ndarray) -> None:
        """Drop all texts except those with these numbers."""


def start_drawing(
    network: TextNetwork, vocabulary_size: int, rules: DecodingRules, read: Sequence[int], last: np.ndarray
) -> Drawing:
    """Return texts that are equal except for their last token, so that their next tokens can be drawn.

    Args:
        network: predicts the next token.
        vocabulary_size: number of tokens, ``<unk>`` included.
        rules: the decoding rules.
        read: ids of the tokens that all texts have in common, which are all but the last.
        last: ids of the last token of each text, ``(texts,)``.
    """
    seen = None
    if rules.repetition_penalty != 1:
        seen = np.zeros((len(last), vocabulary_size), dtype=bool)
        seen[:, list(read)] = True
    ends = None
    inner = network
    if isinstance(network, DocumentNetwork):
        inner, ends = network.inner, network.ends
    if isinstance(inner, NativeNetwork):
        return NativeDrawing(inner, rules, read, last, seen, ends)
    return StepDrawing(network, rules, read, last, seen)


class StepDrawing:
    """A :class:`Drawing` with any network, which reads one token after the other.

    Args:
        network: predicts the next token.
        rules: the decoding rules.
        read: ids of the tokens that all texts have in common, which are all but the last.
        last: ids of the last token of each text, ``(texts,)``.
        seen: whether a token has been read, bool ``(texts, vocabulary)``; None without a repetition penalty.
    """

    most_positions = STEP_POSITIONS

    def __init__(
        self,
        network: TextNetwork,
        rules: DecodingRules,
        read: Sequence[int],
        last: np.ndarray,
        seen: np.ndarray | None,
    ) -> None:
        self._network = network
        self._rules = rules
        self._last = last
        self._seen = seen
        states = network.begin(1)
        for token in read:
            _, states = network.read(np.array([token]), states)
        self._states = network.select(states, np.zeros(len(last), dtype=np.int64))

    def draw(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        network, rows = self._network, np.arange(len(self._last))
        tokens, drawn_log_probabilities = [], []
        for numbers in uniforms.T:
            if self._seen is not None:
                self._seen[rows, self._last] = True
            hidden, self._states = network.read(self._last, self._states)
            log_probabilities = network.log_probabilities(hidden).astype(np.float64, copy=False)
            self._last = draw(token_weights(self._rules, log_probabilities, self._seen), numbers)
            tokens.append(self._last)
            drawn_log_probabilities.append(log_probabilities[rows, self._last])
        return np.stack(tokens, axis=1), np.stack(drawn_log_probabilities, axis=1)

    def keep(self, texts: np.ndarray) -> None:
        self._last = self._last[texts]
        self._states = self._network.select(self._states, texts)
        self._seen = None if self._seen is None else self._seen[texts]


class NativeDrawing:
    """A :class:`Drawing` in which the native library draws many tokens in one call.

    Args:
        network: predicts the next token, with the native library.
        rules: the decoding rules.
        read: ids of the tokens that all texts have in common, which are all but the last.
        last: ids of the last token of each text, ``(texts,)``.
        seen: whether a token has been read, bool ``(texts, vocabulary)``; None without a repetition penalty.
        ends: whether each token ends a document, bool ``(vocabulary,)``; None if none does.
    """

    def __init__(
        self,
        network: NativeNetwork,
        rules: DecodingRules,
        read: Sequence[int],
        last: np.ndarray,
        seen: np.ndarray | None,
        ends: np.ndarray | None,
    ) -> None:
        self._model = network.native
        positions = NATIVE_MULTIPLICATIONS // (self._model.multiplications * len(last))
        self.most_positions = max(1, min(NATIVE_POSITIONS, positions))
        self._rules = rules
        self._last = last.astype(np.int64)
        self._seen = seen
        self._ends = ends
        states = self._model.begin(1)
        self._model.read(read, states, ends)
        self._states = np.repeat(states, len(last), axis=0)

    def draw(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._model.draw(self._rules, uniforms, self._last, self._states, self._seen, self._ends)

    def keep(self, texts: np.ndarray) -> None:
        self._last = self._last[texts]
        self._states = self._states[texts]
        self._seen = None if self._seen is None else self._seen[texts]
