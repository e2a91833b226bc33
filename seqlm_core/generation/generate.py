"""Tokens drawn from a model, one after the other, in several texts side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seqlm_core.generation.decoding import DecodingRules, draw
from seqlm_core.generation.network import TextNetwork
from seqlm_core.randomness import generator
from seqlm_core.reading.vocabulary import Vocabulary

DEFAULT_LENGTH = 500
UNIFORMS_AT_A_TIME = 256


class Drawn(NamedTuple):
    """One more token in some of the texts.

    Attributes:
        texts: which.
        tokens: their new token ids.
        log_probabilities: what the model gave to these, in nats, whatever the decoding rules.
    """

    texts: np.ndarray
    tokens: np.ndarray
    log_probabilities: np.ndarray


class Uniforms:
    """Random numbers from 0 to below 1 for each of several texts, from a generator for each."""

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = generators
        self._numbers = np.zeros((len(generators), 0))
        self._used = 0

    @classmethod
    def of_seed(cls, seed: int, texts: int) -> Uniforms:
        """Return those for ``texts`` samples; the numbers of the k-th do not depend on how many there are."""
        return cls([generator(seed, text, "sampling") for text in range(texts)])

    def __len__(self) -> int:
        return len(self._generators)

    def next(self) -> np.ndarray:
        """Return the next number of every text."""
        if self._used == self._numbers.shape[1]:
            self._numbers = np.array([g.random(UNIFORMS_AT_A_TIME) for g in self._generators])
            self._used = 0
        self._used += 1
        numbers: np.ndarray = self._numbers[:, self._used - 1]
        return numbers


def generate(
    network: TextNetwork,
    vocabulary: Vocabulary,
    prompt: Sequence[int],
    length: int,
    rules: DecodingRules,
    uniforms: Uniforms,
    is_finished: Callable[[int, int], bool] = lambda text, token: False,
) -> Iterator[Drawn]:
    """Yield the tokens of several texts that all go on from the prompt, position after position.

    Args:
        network: predicts the next token.
        vocabulary: of the model.
        prompt: token ids to read first; without any, the first token is drawn by its frequency in training.
        length: tokens of each text.
        rules: for drawing.
        uniforms: random numbers for each text.
        is_finished: asked after each token of a text, given its number and the token; a text that is goes no further.
    """
    count = len(uniforms)
    texts = np.arange(count)
    log_probabilities, states = read_prompt(network, vocabulary, prompt)
    log_probabilities = np.repeat(log_probabilities, count, axis=0)
    states = network.select(states, np.zeros(count, dtype=np.int64)) if prompt else network.begin(count)
    seen = np.zeros((count, len(vocabulary)), dtype=bool)
    seen[:, list(prompt)] = True
    penalized = rules.repetition_penalty != 1
    for position in range(length):
        # A first token is drawn as it occurs: the rules are for a model's predictions, and there is none yet.
        is_first = position == 0 and not prompt and rules.temperature > 0
        rules_here = DecodingRules(temperature=1.0) if is_first else rules
        weights = rules_here.weights(log_probabilities, seen[texts] if penalized else None)
        tokens = draw(weights, uniforms.next()[texts])
        yield Drawn(texts, tokens, log_probabilities[np.arange(len(texts)), tokens])
        if penalized:
            seen[texts, tokens] = True
        going_on = np.array([not is_finished(*item) for item in zip(texts.tolist(), tokens.tolist())], dtype=bool)
        if not going_on.all():
            kept = np.flatnonzero(going_on)
            texts, tokens = texts[kept], tokens[kept]
            states = network.select(states, kept) if position or prompt else network.begin(len(kept))
        if not len(texts):
            return
        if position + 1 < length:
            hidden, states = network.read(tokens, states)
            log_probabilities = network.log_probabilities(hidden).astype(np.float64)


def read_prompt(network: TextNetwork, vocabulary: Vocabulary, prompt: Sequence[int]) -> tuple[np.ndarray, object]:
    """Return log-probabilities ``(1, vocabulary)`` of what follows a prompt, and the states after it.

    After none they are those of the tokens' frequencies in training.
    """
    states = network.begin(1)
    if not prompt:
        frequencies = np.maximum(vocabulary.frequencies(), np.finfo(np.float64).tiny)
        return np.log(frequencies)[None, :], states
    for token in prompt:
        hidden, states = network.read(np.array([token]), states)
    return network.log_probabilities(hidden).astype(np.float64), states
