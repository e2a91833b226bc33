"""Generates the tokens of several texts side by side."""

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
        texts: the numbers of these texts, ``(texts,)``.
        tokens: ids of their next tokens, ``(texts, positions)``.
        log_probabilities: the model's log-probabilities of these tokens in nats, before the decoding rules,
            ``(texts, positions)``.
    """

    texts: np.ndarray
    tokens: np.ndarray
    log_probabilities: np.ndarray


class Uniforms:
    """Random numbers, at least 0 and below 1, for several texts; each text has a generator of its own."""

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = generators
        self._numbers = np.zeros((len(generators), 0))
        self._used = 0

    @classmethod
    def of_seed(cls, seed: int, texts: range) -> Uniforms:
        """Return the random numbers of the texts with these numbers; a text's depend only on seed and its number."""
        return cls([generator(seed, text, "sampling") for text in texts])

    def __len__(self) -> int:
        return len(self._generators)

    def take(self, positions: int) -> np.ndarray:
        """Return the next random numbers of every text, ``(texts, positions)``."""
        missing = positions - (self._numbers.shape[1] - self._used)
        if missing > 0:
            drawn = [g.random(max(missing, UNIFORMS_AT_A_TIME)) for g in self._generators]
            self._numbers = np.concatenate([self._numbers[:, self._used :], drawn], axis=1)
            self._used = 0
        self._used += positions
        return self._numbers[:, self._used - positions : self._used]

    def next(self) -> np.ndarray:
        """Return the next random number of every text, ``(texts,)``."""
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
    """Yield the tokens of several texts that all go on from the prompt, one or more tokens of each at a time.

    Args:
        network: predicts the next token.
        vocabulary: the model's vocabulary.
        prompt: the text to go on from. If it has no tokens, the first token is drawn by its frequency in training.
        length: number of tokens of each text.
        rules: the decoding rules.
        uniforms: random numbers for each text.
        is_finished: returns whether the text of a number is finished. It is called after the text's tokens were
            yielded; a finished text gets no more. Where several tokens come at a time, the caller has to drop those
            after the text's end.
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
            # The first token is drawn by its frequency alone. The rules are for predictions of the model.
            weights = token_weights(DecodingRules(temperature=1.0), prompt.restricted(log_probabilities))
        else:
            weights = token_weights(rules, prompt.restricted(log_probabilities), seen)
        last = draw(np.repeat(weights, len(texts), axis=0), uniforms.next())
        yield Drawn(texts, last[:, None], log_probabilities[0, last][:, None])
        length -= 1
    drawing = start_drawing(network, len(vocabulary), rules, read, last)
    positions = 1  # one position in the first call, so that the first tokens come soon
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
    """Return the log-probabilities ``(1, vocabulary)`` of the next token after a prompt, and the states after it.

    If the prompt has no tokens, the probabilities are the tokens' frequencies in training.
    """
    states = network.begin(1)
    if not prompt:
        return vocabulary.log_frequencies()[None, :], states
    for token in prompt:
        hidden, states = network.read(np.array([token]), states)
    return network.log_probabilities(hidden).astype(np.float64), states
