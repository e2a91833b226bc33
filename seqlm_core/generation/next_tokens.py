"""What may follow a text, and how probable it is."""

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
        token: its text; the first token of the vocabulary, ``<unk>``, stands for all that are not in it.
        probability: of the token.
        log_probability: its natural logarithm.
    """

    token: str
    probability: float
    log_probability: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return dataclasses.asdict(self)


def next_tokens(network: TextNetwork, vocabulary: Vocabulary, prompt: Prompt) -> list[NextToken]:
    """Return all tokens that may follow a prompt, the most probable first.

    Args:
        network: predicts the next token.
        vocabulary: of the model.
        prompt: after one without tokens, they are as probable as they are frequent in training.
    """
    log_probabilities = prompt.bounded(read_prompt(network, vocabulary, prompt.ids)[0])[0]
    if prompt.allowed is not None:
        log_probabilities = log_softmax(log_probabilities)
    probabilities = np.exp(log_probabilities)
    return [
        NextToken(vocabulary.tokens[token], float(probabilities[token]), float(log_probabilities[token]))
        for token in np.argsort(-log_probabilities, kind="stable").tolist()
        if prompt.allowed is None or prompt.allowed[token]
    ]
