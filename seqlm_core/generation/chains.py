"""Finds candidates for the missing tokens of a span with several Markov chains side by side.

Each chain begins with a filling that is drawn from left to right. Then it draws each missing token again, given all
other tokens on both sides, in sweeps from right to left and from left to right in turn (Gibbs sampling, Geman and Geman
1984). At temperature 0 the last sweeps take the most probable token each time. Every filling that a chain had after a
sweep is a candidate. For a single missing token at temperature 0, the most probable tokens are the candidates instead.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator
from typing import Callable

import numpy as np

from seqlm_core.engine.randomness import generator
from seqlm_core.generation.generate import Uniforms
from seqlm_core.generation.span import Span
from seqlm_core.settings.decoding_rules import DecodingRules

GREEDY_SWEEPS = 3
CHAINS = 32
CANDIDATES = 128
"""The largest number of candidates. The fillings that the chains had most often are kept, besides their last ones."""


@dataclasses.dataclass(frozen=True)
class CandidateSearch:
    """A search for candidates.

    Attributes:
        sweeps: how often each chain draws every missing token again.
        temperature: the temperature of these draws. With 0 they are made at temperature 1, and further sweeps take the
            most probable tokens.
        seed: the seed of the random numbers; the same seed gives the same candidates.
    """

    sweeps: int
    temperature: float
    seed: int

    def candidates(
        self, span: Span, text: np.ndarray, number: int, first_chain: int, advance: Callable[[float], object]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the candidates as ids ``(candidates, length)``, and for each chain the number of its last candidate.

        Args:
            span: the span to fill.
            text: the span's ids ``(length,)``; those of missing tokens are ignored.
            number: the span's number in its text.
            first_chain: the number of the first chain. A chain's random numbers depend on its number.
            advance: is called with the share of the search that was done since the last time.
        """
        if self.temperature == 0 and span.missing == 1:
            tokens = span.most_probable(CANDIDATES)
            advance(1)
            return tokens[:, None], np.zeros(CHAINS, dtype=np.int64)
        chains = range(first_chain, first_chain + CHAINS)
        uniforms = Uniforms([generator(self.seed, chain, f"infilling span {number}") for chain in chains])
        visited = [texts.copy() for texts in self._run_chains(span, np.tile(text, (CHAINS, 1)), uniforms, advance)]
        ends = [tuple(row) for row in visited[-1].tolist()]
        counts = collections.Counter(tuple(row) for texts in visited[::-1] for row in texts.tolist())
        most_visited = [row for row, _ in counts.most_common(CANDIDATES)]
        # Above temperature 0 the ends of the chains are the results. At 0 many chains end alike.
        candidates = list(dict.fromkeys([*ends, *most_visited]))
        place = {row: k for k, row in enumerate(candidates)}
        return np.array(candidates), np.array([place[row] for row in ends])

    def _run_chains(
        self, span: Span, texts: np.ndarray, uniforms: Uniforms, advance: Callable[[float], object]
    ) -> Iterator[np.ndarray]:
        """Yield the chains' texts, first the drafts and then after each sweep; the next sweep changes them in place."""
        drawing, greedy = DecodingRules(temperature=self.temperature or 1.0), DecodingRules(temperature=0.0)
        sweeps = [drawing] * self.sweeps + [greedy] * (0 if self.temperature else GREEDY_SWEEPS)
        passed = span.draft(texts, drawing, uniforms)
        yield texts
        for sweep, rules in enumerate(sweeps):
            passed = span.sweep(texts, passed, rules, uniforms, from_left=sweep % 2 == 1)
            advance(1 / len(sweeps))
            yield texts
