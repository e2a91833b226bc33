"""What a language model makes of each token of a text: surprisal, likely alternatives, and the state of its units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqlm_core.generation.assembly import Assembly
from seqlm_core.generation.network import TextNetwork
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.vocabulary import Vocabulary

MOST_RIGHT_CONTEXT = 16
"""How many tokens on the right of a token are read at most to predict it from both sides."""
ROWS = 256
"""The number of right contexts that are read side by side."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a model predicts a token.

    Attributes:
        bits: the surprisal of the token: minus the binary logarithm of its probability.
        alternatives: the most probable tokens and their probabilities, the most probable first.
    """

    bits: float
    alternatives: list[tuple[str, float]]


@dataclasses.dataclass(frozen=True)
class InspectedToken:
    """A token of a text, and how it is predicted.

    Attributes:
        token: the token.
        text: what the token adds to the text.
        known: whether it is in the vocabulary. If not, it is predicted as ``<unk>``.
        left: how it is predicted from the text before it; None for a first token that nothing predicts.
        both_sides: how it is predicted from the text on both sides of it; None without a second direction.
    """

    token: str
    text: str
    known: bool
    left: Reading | None
    both_sides: Reading | None = None


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A text as a model reads it.

    Attributes:
        tokens: the tokens.
        activations: the values of the units after each token, ``(tokens, units)``, by the name of the layer and of
            what the units hold.
    """

    tokens: list[InspectedToken]
    activations: dict[str, np.ndarray]

    @property
    def bits(self) -> float:
        """The mean surprisal of the tokens that are predicted from the left, in bits."""
        return _mean([token.left for token in self.tokens])

    @property
    def both_sides_bits(self) -> float:
        """The same from both sides."""
        return _mean([token.both_sides for token in self.tokens])


def right_context_of(sequence_length: int) -> int:
    """Return how many tokens on the right predict a token in figures: half a window, as on average in training.

    There are at most :data:`MOST_RIGHT_CONTEXT`.
    """
    return max(1, min(sequence_length // 2, MOST_RIGHT_CONTEXT))


class Inspector:
    """Reads a text token by token.

    Args:
        network: the model.
        vocabulary: its vocabulary.
        tokenizer: its tokenizer.
        start: id of a token that is read before the text; None reads none.
        ends: whether each token ends a document, bool ``(vocabulary,)``; None if no token does.
        right_context: how many tokens on the right a bidirectional model reads.
        alternatives: the number of likely tokens to give.
    """

    def __init__(
        self,
        network: TextNetwork,
        vocabulary: Vocabulary,
        tokenizer: Tokenizer,
        start: int | None = None,
        ends: np.ndarray | None = None,
        right_context: int = MOST_RIGHT_CONTEXT,
        alternatives: int = 5,
    ) -> None:
        self._network = network
        self._vocabulary = vocabulary
        self._tokenizer = tokenizer
        self._start = start
        self._ends = ends
        self._right_context = right_context
        self._alternatives = alternatives

    def read(self, tokens: Sequence[str]) -> Inspection:
        """Return what the model makes of these tokens, which are read from the beginning of a text."""
        ids = self._vocabulary.ids(tokens)
        texts = _texts_of(tokens, self._tokenizer)
        left, activations, contexts = self._read_left(ids)
        both: list[Reading | None] = [None] * len(ids)
        if self._network.bidirectional:
            both = self._read_both_sides(ids, contexts)
        inspected = [
            InspectedToken(token, text, token in self._vocabulary, *readings)
            for token, text, *readings in zip(tokens, texts, left, both)
        ]
        return Inspection(inspected, activations)

    def _read_left(self, ids: np.ndarray) -> tuple[list[Reading | None], dict[str, np.ndarray], list[Any]]:
        """Return how each token is predicted from the left, the units after it, and the context before it."""
        network = self._network
        states, hidden = network.begin(1), None
        if self._start is not None:
            hidden, states = network.read(np.array([self._start]), states)
        readings, contexts, units = [], [], []
        for token in ids:
            readings.append(None if hidden is None else self._reading(token, network.log_probabilities(hidden)))
            contexts.append(hidden)
            hidden, states = network.read(np.array([token]), states)
            units.append([[_row(state) for state in layer] for layer in states])
        return readings, _by_layer(units), contexts

    def _read_both_sides(self, ids: np.ndarray, contexts: list[Any]) -> list[Reading | None]:
        """Return how each token is predicted from both sides; a first token that nothing predicts is not."""
        network = self._network
        readings: list[Reading | None] = []
        for token, left, right in zip(ids, contexts, self._right_contexts(ids)):
            if left is None:
                readings.append(None)
                continue
            if self._ends is not None and self._ends[token]:  # what follows is another document
                right = None
            readings.append(self._reading(token, network.log_probabilities(left, right)))
        return readings

    def _right_contexts(self, ids: np.ndarray) -> Iterator[Any]:
        """Yield the hidden vectors of what is to the right of each token; None where there is nothing."""
        network, length = self._network, self._right_context
        whole = max(0, len(ids) - length)  # so many tokens have a right context of full length
        for begin in range(0, whole, ROWS):
            places = np.arange(begin, min(begin + ROWS, whole))
            hidden, states = None, network.begin_right(len(places))
            for distance in range(length, 0, -1):
                hidden, states = network.read_right(ids[places + distance], states)
            for row in range(len(places)):
                yield network.select(hidden, np.array([row]))
        shorter: list[Any] = []
        hidden, states = None, network.begin_right(1)
        for token in ids[whole:][::-1]:
            shorter.append(hidden)
            hidden, states = network.read_right(np.array([token]), states)
        yield from reversed(shorter)

    def _reading(self, token: int, log_probabilities: np.ndarray) -> Reading:
        row = log_probabilities[0]
        count = min(self._alternatives, len(row))
        likely = np.argpartition(-row, count - 1)[:count]
        likely = likely[np.argsort(-row[likely], kind="stable")]
        names = self._vocabulary.tokens
        alternatives = [(names[i], float(np.exp(row[i]))) for i in likely]
        return Reading(-float(row[token]) / math.log(2), alternatives)


def _texts_of(tokens: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Return what each token adds to the text. A token that does not complete a character adds nothing."""
    assembly = Assembly(tokenizer)
    texts = [assembly.add([token])[1] for token in tokens]
    if texts:
        texts[-1] += assembly.end()
    return texts


def _row(state: Any) -> np.ndarray:
    array = state if isinstance(state, np.ndarray) else state.asnumpy()
    return array.reshape(-1).astype(np.float32)


def _by_layer(units: list[list[list[np.ndarray]]]) -> dict[str, np.ndarray]:
    """Return the arrays of all steps by layer and state; the first state of a layer is its output."""
    if not units:
        return {}
    named = {}
    for layer, states in enumerate(units[0]):
        for number, _ in enumerate(states):
            kind = "output" if number == 0 else "memory" if number == 1 else f"state {number + 1}"
            named[f"layer {layer + 1}, {kind}"] = np.stack([step[layer][number] for step in units])
    return named


def _mean(readings: list[Reading | None]) -> float:
    bits = [reading.bits for reading in readings if reading is not None]
    return sum(bits) / len(bits) if bits else 0.0
