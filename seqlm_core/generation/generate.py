"""Tokens drawn from a model, one after the other, in several texts side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seqlm_core.engine.randomness import generator
from seqlm_core.generation.decoding import draw, token_weights
from seqlm_core.generation.drawing import start_drawing
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.prompts import Prompt
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.settings.decoding_rules import DecodingRules

DEFAULT_LENGTH = 500
UNIFORMS_AT_A_TIME = 256


class Drawn(NamedTuple):
    """The next tokens of some of the texts.

    Attributes:
        texts: which, ``(texts,)``.
        tokens: their next token ids, one or more, ``(texts, positions)``.
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
    def of_seed(cls, seed: int, texts: range) -> Uniforms:
        """Return those for samples with these numbers, each of which depends on its own number alone."""
        return cls([generator(seed, text, "sampling") for text in texts])

    def __len__(self) -> int:
        return len(self._generators)

    def take(self, positions: int) -> np.ndarray:
        """Return the next numbers of every text, ``(texts, positions)``."""
        missing = positions - (self._numbers.shape[1] - self._used)
        if missing > 0:
            drawn = [g.random(max(missing, UNIFORMS_AT_A_TIME)) for g in self._generators]
            self._numbers = np.concatenate([self._numbers[:, self._used :], drawn], axis=1)
            self._used = 0
        self._used += positions
        return self._numbers[:, self._used - positions : self._used]

    def next(self) -> np.ndarray:
        """Return the next number of every text."""
        return self.take(1)[:, 0]


def generate(
    network: TextNetwork,
    vocabulary: Vocabulary,
    prompt: Prompt,
    length: int,
    rules: DecodingRules,
    uniforms: Uniforms,
    is_finished: Callable[[int], bool] = lambda text: False,
) -> Iterator[Drawn]:
    """Yield the tokens of several texts that all go on from the prompt, one position or more at a time.

    Args:
        network: predicts the next token.
        vocabulary: of the model.
        prompt: is read first; without tokens, the first token is drawn by its frequency in training.
        length: tokens of each text.
        rules: for drawing.
        uniforms: random numbers for each text.
        is_finished: asked of each text by its number, after what is yielded of it; one that is goes no further. Where
            several tokens come at a time, those after its end are of no use.
    """
    if not length:
        return
    texts = np.arange(len(uniforms))
    read: Sequence[int]
    if prompt.ids and prompt.allowed is None:
        read, last = prompt.ids[:-1], np.full(len(texts), prompt.ids[-1])
    else:
        read = prompt.ids
        log_probabilities, _ = read_prompt(network, vocabulary, prompt.ids)
        seen = np.isin(np.arange(len(vocabulary)), read)[None, :]
        if not read and rules.temperature:
            # A first token is drawn as it occurs: the rules are for a model's predictions, and there is none yet.
            weights = token_weights(DecodingRules(temperature=1.0), prompt.bounded(log_probabilities))
        else:
            weights = token_weights(rules, prompt.bounded(log_probabilities), seen)
        last = draw(np.repeat(weights, len(texts), axis=0), uniforms.next())
        yield Drawn(texts, last[:, None], log_probabilities[0, last][:, None])
        length -= 1
    drawing = start_drawing(network, len(vocabulary), rules, read, last)
    positions = 1  # so that the first tokens come at once
    while length:
        going_on = np.array([not is_finished(text) for text in texts.tolist()], dtype=bool)
        if not going_on.all():
            kept = np.flatnonzero(going_on)
            texts = texts[kept]
            drawing.keep(kept)
        if not len(texts):
            return
        positions = min(2 * positions, drawing.most_positions, length)
        yield Drawn(texts, *drawing.draw(uniforms.take(positions)[texts]))
        length -= positions


def read_prompt(network: TextNetwork, vocabulary: Vocabulary, prompt: Sequence[int]) -> tuple[np.ndarray, object]:
    """Return log-probabilities ``(1, vocabulary)`` of what follows a prompt, and the states after it.

    After none they are those of the tokens' frequencies in training.
    """
    states = network.begin(1)
    if not prompt:
        return vocabulary.log_frequencies()[None, :], states
    for token in prompt:
        hidden, states = network.read(np.array([token]), states)
    return network.log_probabilities(hidden).astype(np.float64), states
