"""Beam search: the most probable continuations of a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from seqlm_core.generation.assembly import Assembly
from seqlm_core.generation.generate import read_prompt
from seqlm_core.generation.network import TextNetwork
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """A continuation.

    Attributes:
        tokens: ids.
        log_probabilities: of each token, in nats.
        assembly: of its text, which knows whether a stop text has come; None where there are no stop texts.
    """

    tokens: tuple[int, ...] = ()
    log_probabilities: tuple[float, ...] = ()
    assembly: Assembly | None = None

    @property
    def finished(self) -> bool:
        """Whether a stop text has ended it."""
        return self.assembly is not None and self.assembly.stopped

    @property
    def score(self) -> float:
        """Mean log-probability of a token, in nats: normalized by the length, so that short ones are not preferred."""
        return sum(self.log_probabilities) / max(1, len(self.tokens))

    def extended(self, token: int, text: str, log_probability: float) -> Hypothesis:
        """Return the continuation with a token more, whose text is ``text``."""
        assembly = None if self.assembly is None else self.assembly.with_token(text)
        return Hypothesis((*self.tokens, token), (*self.log_probabilities, log_probability), assembly)


def beam_search(
    network: TextNetwork,
    vocabulary: Vocabulary,
    prompt: Sequence[int],
    width: int,
    length: int,
    assembly: Assembly | None = None,
) -> list[Hypothesis]:
    """Return continuations, best first: of ``length`` tokens, or shorter if a stop text has come.

    At every position the ``width`` most probable ones are kept. Where ``width`` is at least the number of all
    continuations, the search is exhaustive. ``<unk>`` is in none.

    Args:
        network: predicts the next token.
        vocabulary: of the model.
        prompt: token ids to read first; without any, the first token has its frequency in training.
        width: how many continuations to keep.
        length: the most tokens.
        assembly: of a text without tokens, which knows the stop texts; None where there are none.
    """
    alive, finished = [Hypothesis(assembly=assembly)], []
    log_probabilities, states = read_prompt(network, vocabulary, prompt)
    for position in range(length):
        totals = np.array([sum(hypothesis.log_probabilities) for hypothesis in alive])
        scores = totals[:, None] + log_probabilities
        scores[:, UNKNOWN_ID] = -np.inf
        best = np.argsort(-scores, axis=None, kind="stable")[:width]
        rows, tokens = np.unravel_index(best[np.isfinite(scores.ravel()[best])], scores.shape)
        extended = [
            alive[row].extended(token, vocabulary.tokens[token], float(log_probabilities[row, token]))
            for row, token in zip(rows.tolist(), tokens.tolist())
        ]
        going_on = np.array([not hypothesis.finished for hypothesis in extended], dtype=bool)
        finished += [hypothesis for hypothesis in extended if hypothesis.finished]
        alive = [hypothesis for hypothesis in extended if not hypothesis.finished]
        if not alive or position + 1 == length:
            break
        rows, tokens = rows[going_on], tokens[going_on]
        states = network.select(states, rows) if position or prompt else network.begin(len(rows))
        hidden, states = network.read(tokens, states)
        log_probabilities = network.log_probabilities(hidden).astype(np.float64)
    return sorted(finished + alive, key=lambda hypothesis: -hypothesis.score)[:width]
