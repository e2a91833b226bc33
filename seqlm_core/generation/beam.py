"""Beam search: the most probable continuations of a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from seqlm_core.generation.assembly import Assembly
from seqlm_core.generation.generate import read_prompt
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.prompts import Prompt
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary

# The number of log-probabilities that are held in memory at a time.
NUMBERS_AT_A_TIME = 1 << 22


@dataclasses.dataclass(frozen=True, eq=False)
class Hypothesis:
    """A continuation of the prompt. It holds its last token and the continuation before it, so it takes little memory.

    Attributes:
        assembly: joins the tokens and finds stop texts; None if there are no stop texts.
        before: the continuation without its last token; None if there are no tokens.
        token: id of the last token.
        log_probability: log-probability of the last token, in nats.
        total: log-probability of all tokens, in nats.
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
        """The ids of all tokens."""
        return tuple(part.token for part in self._parts())

    @property
    def log_probabilities(self) -> tuple[float, ...]:
        """The log-probabilities of all tokens, in nats."""
        return tuple(part.log_probability for part in self._parts())

    @property
    def finished(self) -> bool:
        """Whether a stop text has ended the continuation."""
        return self.assembly is not None and self.assembly.stopped

    @property
    def score(self) -> float:
        """The mean log-probability of a token, in nats. As a mean it does not prefer short continuations."""
        return self.total / max(1, self.length)

    def extended(self, token: int, text: str, log_probability: float) -> Hypothesis:
        """Return the continuation with one more token, whose text is ``text``."""
        assembly = None if self.assembly is None else self.assembly.with_token(text)
        return Hypothesis(assembly, self, token, log_probability, self.total + log_probability, self.length + 1)

    def _parts(self) -> list[Hypothesis]:
        """Return this continuation's beginnings of one token, two tokens and so on, up to the whole of it."""
        parts, part = [], self
        while part.before is not None:
            parts.append(part)
            part = part.before
        return parts[::-1]


def beam_search(
    network: TextNetwork,
    vocabulary: Vocabulary,
    prompt: Prompt,
    width: int,
    length: int,
    assembly: Assembly | None = None,
) -> list[Hypothesis]:
    """Return the best continuations, the best first: of ``length`` tokens, or shorter if a stop text ends them.

    At every position the ``width`` most probable continuations are kept. If ``width`` is at least the number of all
    continuations, the search is exhaustive. No continuation holds ``<unk>``.

    Args:
        network: predicts the next token.
        vocabulary: the model's vocabulary.
        prompt: the text to go on from. If it has no tokens, the first token is as probable as it is frequent in
            training.
        width: number of continuations to keep.
        length: the largest number of tokens.
        assembly: an assembly without tokens, which knows the stop texts; None if there are no stop texts.
    """
    alive, finished = [Hypothesis(assembly)], []
    log_probabilities, states = read_prompt(network, vocabulary, prompt.ids)
    best = _best_extensions(alive, [prompt.restricted(log_probabilities)], width)
    for position in range(length):
        extended = [
            alive[row].extended(token, vocabulary.tokens[token], log_probability)
            for row, token, log_probability in zip(*(array.tolist() for array in best))
        ]
        going_on = np.array([not hypothesis.finished for hypothesis in extended], dtype=bool)
        finished += [hypothesis for hypothesis in extended if hypothesis.finished]
        finished = sorted(finished, key=lambda hypothesis: -hypothesis.score)[:width]
        alive = [hypothesis for hypothesis in extended if not hypothesis.finished]
        if not alive or position + 1 == length:
            break
        rows, tokens = best.rows[going_on], best.tokens[going_on]
        states = network.select(states, rows) if position or prompt.ids else network.begin(len(rows))
        hidden, states = network.read(tokens, states)
        at_a_time = max(1, NUMBERS_AT_A_TIME // len(vocabulary))
        parts = [range(start, min(start + at_a_time, len(rows))) for start in range(0, len(rows), at_a_time)]
        best = _best_extensions(
            alive, (network.log_probabilities(network.select(hidden, np.array(part))) for part in parts), width
        )
    return sorted(finished + alive, key=lambda hypothesis: -hypothesis.score)[:width]


class _Extensions(NamedTuple):
    """The best ways to add one more token, the best first.

    Attributes:
        rows: the numbers of the continuations to extend, int64.
        tokens: the ids of the tokens to add, int64.
        log_probabilities: the log-probabilities of these tokens in nats, float64.
    """

    rows: np.ndarray
    tokens: np.ndarray
    log_probabilities: np.ndarray


def _best_extensions(alive: Sequence[Hypothesis], parts: Iterable[np.ndarray], width: int) -> _Extensions:
    """Return the ``width`` best ways to extend one of the continuations.

    Args:
        alive: the continuations that can be extended.
        parts: log-probabilities of the next token, ``(rows, vocabulary)`` for some continuations at a time, in order.
        width: number of ways to keep; of equally good ones the first.
    """
    totals = np.array([hypothesis.total for hypothesis in alive])
    scores = np.zeros(0)
    best = _Extensions(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    start = 0
    for part in parts:
        log_probabilities = part.astype(np.float64, copy=False)
        of_part = totals[start : start + len(part), None] + log_probabilities
        of_part[:, UNKNOWN_ID] = -np.inf
        kept = np.argsort(-of_part, axis=None, kind="stable")[:width]
        rows, tokens = np.unravel_index(kept[np.isfinite(of_part.ravel()[kept])], of_part.shape)
        found = _Extensions(start + rows, tokens, log_probabilities[rows, tokens])
        scores = np.concatenate([scores, of_part[rows, tokens]])
        order = np.argsort(-scores, kind="stable")[:width]
        scores = scores[order]
        best = _Extensions(*(np.concatenate(both)[order] for both in zip(best, found)))
        start += len(part)
    return best
