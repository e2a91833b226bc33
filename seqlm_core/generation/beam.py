"""Beam search: the most probable continuations of a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from seqlm_core.generation.assembly import Assembly
from seqlm_core.generation.generate import read_prompt
from seqlm_core.generation.network import TextNetwork
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary


@dataclasses.dataclass(frozen=True, eq=False)
class Hypothesis:
    """A continuation: another one and a token more, so that it takes little memory; or none yet.

    Attributes:
        assembly: of its text, which knows whether a stop text has come; None where there are no stop texts.
        before: the continuation without its last token; None where it has no token.
        token: the last one, an id.
        log_probability: of that token, in nats.
        total: log-probability of the whole.
        length: number of tokens.
    """

    assembly: Assembly | None = None
    before: Hypothesis | None = None
    token: int = UNKNOWN_ID
    log_probability: float = 0.0
    total: float = 0.0
    length: int = 0

    @property
    def tokens(self) -> tuple[int, ...]:
        """Ids of all tokens."""
        return tuple(part.token for part in self._parts())

    @property
    def log_probabilities(self) -> tuple[float, ...]:
        """Log-probabilities of all tokens, in nats."""
        return tuple(part.log_probability for part in self._parts())

    @property
    def finished(self) -> bool:
        """Whether a stop text has ended it."""
        return self.assembly is not None and self.assembly.stopped

    @property
    def score(self) -> float:
        """Mean log-probability of a token, in nats: normalized by the length, so that short ones are not preferred."""
        return self.total / max(1, self.length)

    def extended(self, token: int, text: str, log_probability: float) -> Hypothesis:
        """Return the continuation with a token more, whose text is ``text``."""
        assembly = None if self.assembly is None else self.assembly.with_token(text)
        return Hypothesis(assembly, self, token, log_probability, self.total + log_probability, self.length + 1)

    def _parts(self) -> list[Hypothesis]:
        """Return the continuations of which this is one with tokens more, the shortest first, and this one."""
        parts, part = [], self
        while part.before is not None:
            parts.append(part)
            part = part.before
        return parts[::-1]


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
    alive, finished = [Hypothesis(assembly)], []
    log_probabilities, states = read_prompt(network, vocabulary, prompt)
    for position in range(length):
        totals = np.array([hypothesis.total for hypothesis in alive])
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
