"""Text drawn from a model, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from seqlm_core.generation.network import NextTokenNetwork
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary

DEFAULT_LENGTH = 500
DEFAULT_TEMPERATURE = 0.5


def sample_tokens(
    network: NextTokenNetwork,
    vocabulary: Vocabulary,
    prompt: Sequence[int],
    length: int,
    temperature: float,
    random: np.random.Generator,
) -> Iterator[int]:
    """Yield ``length`` token ids that follow the prompt; ``<unk>`` is never among them.

    Args:
        network: predicts the next token.
        vocabulary: of the model.
        prompt: token ids to read first; without any, the first token is drawn by its frequency in training.
        length: in tokens.
        temperature: divides the log-probabilities before drawing; 0 takes the most probable token.
        random: draws.
    """
    states = network.begin(1)
    log_probabilities = np.log(np.maximum(vocabulary.frequencies(), np.finfo(np.float64).tiny))
    for token in prompt:
        rows, states = network.read(np.array([token]), states)
        log_probabilities = rows[0]
    # A first token is drawn as it occurs: the temperature is the model's, and there is no model yet.
    first_temperature = temperature if prompt or temperature == 0 else 1.0
    for position in range(length):
        token = draw(log_probabilities, first_temperature if position == 0 else temperature, random)
        yield token
        if position + 1 < length:
            rows, states = network.read(np.array([token]), states)
            log_probabilities = rows[0]


def draw(log_probabilities: np.ndarray, temperature: float, random: np.random.Generator) -> int:
    """Return one token id drawn from log-probabilities ``(vocabulary,)`` at a temperature, never ``<unk>``."""
    scores = log_probabilities.astype(np.float64)
    scores[UNKNOWN_ID] = -np.inf
    if temperature == 0:
        return int(scores.argmax())
    with np.errstate(over="ignore"):  # by a temperature close to 0, to minus infinity, which is right
        weights = np.exp((scores - scores.max()) / temperature)
    cumulative = np.cumsum(weights)
    # Right of all equal values, so that a token of probability 0 is not chosen; without the last value, so that
    # rounding cannot lead past the end.
    return int(np.searchsorted(cumulative[:-1], random.random() * cumulative[-1], side="right"))
