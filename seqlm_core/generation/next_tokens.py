"""The tokens that may follow a text, and their probabilities."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from seqlm_core.engine.numerics import log_softmax
from seqlm_core.generation.generate import read_prompt
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.prompts import Prompt
from seqlm_core.reading.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class NextToken:
    """A token that may come next.

    Attributes:
        token: the token's text; ``<unk>`` stands for all tokens that are not in the vocabulary.
        probability: the token's probability.
        log_probability: the natural logarithm of the probability.
    """

    token: str
    probability: float
    log_probability: float

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as values that JSON can hold."""
        return dataclasses.asdict(self)


def next_tokens(network: TextNetwork, vocabulary: Vocabulary, prompt: Prompt) -> list[NextToken]:
    """Return all tokens that may follow a prompt, the most probable first.

    Args:
        network: predicts the next token.
        vocabulary: the model's vocabulary.
        prompt: the prompt. If it has no tokens, the next token is as probable as it is frequent in training.
    """
    log_probabilities = prompt.restricted(read_prompt(network, vocabulary, prompt.ids)[0])[0]
    if prompt.allowed is not None:
        log_probabilities = log_softmax(log_probabilities)
    probabilities = np.exp(log_probabilities)
    return [
        NextToken(vocabulary.tokens[token], float(probabilities[token]), float(log_probabilities[token]))
        for token in np.argsort(-log_probabilities, kind="stable").tolist()
        if prompt.allowed is None or prompt.allowed[token]
    ]
