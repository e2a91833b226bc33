"""Candidates for the missing tokens of a span, found by chains side by side.

The chains draft fillings from left to right. Then they draw each token anew from its distribution given everything else
on both sides, sweep after sweep, from the right and from the left in turn (Gibbs sampling, Geman and Geman 1984), and
at temperature 0 at last replace each by the most probable one. Every filling that a chain came by is a candidate. Of a
single missing token every token is a candidate.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator

import numpy as np

from seqlm_core.engine.randomness import generator
from seqlm_core.generation.generate import Uniforms
from seqlm_core.generation.span import Span
from seqlm_core.settings.decoding_rules import DecodingRules

GREEDY_SWEEPS = 3
CHAINS = 32
CANDIDATES = 128
"""The most candidates: what the chains were at most often, or the tokens that are most probable from both sides."""


@dataclasses.dataclass(frozen=True)
class Search:
    """How candidates are found.

    Attributes:
        sweeps: how often each chain draws every missing token anew.
        temperature: that it draws at. At 0 it draws at 1, and at last takes the most probable tokens.
        seed: the same seed gives the same candidates.
    """

    sweeps: int
    temperature: float
    seed: int

    def candidates(self, span: Span, text: np.ndarray, number: int, first_chain: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids ``(candidates, length)``, and which of them each chain ended at.

        Args:
            span: to fill.
            text: its ids ``(length,)``; those of missing tokens do not matter.
            number: of the span in its text.
            first_chain: of those that run, whose random numbers are those of its number and the ones after it.
        """
        if self.temperature == 0 and span.missing == 1:
            tokens = span.most_probable(CANDIDATES)
            return tokens[:, None], np.zeros(CHAINS, dtype=np.int64)
        chains = range(first_chain, first_chain + CHAINS)
        uniforms = Uniforms([generator(self.seed, chain, f"infilling span {number}") for chain in chains])
        visited = [texts.copy() for texts in self._run_chains(span, np.tile(text, (CHAINS, 1)), uniforms)]
        ends = [tuple(row) for row in visited[-1].tolist()]
        counts = collections.Counter(tuple(row) for texts in visited[::-1] for row in texts.tolist())
        most_visited = [row for row, _ in counts.most_common(CANDIDATES)]
        # At temperature 0 chains end alike, and above it the ends are the results.
        candidates = list(dict.fromkeys([*ends, *most_visited]))
        place = {row: k for k, row in enumerate(candidates)}
        return np.array(candidates), np.array([place[row] for row in ends])

    def _run_chains(self, span: Span, texts: np.ndarray, uniforms: Uniforms) -> Iterator[np.ndarray]:
        """Yield the chains' texts after each sweep, the draft first; they are then changed in place."""
        drawing, greedy = DecodingRules(temperature=self.temperature or 1.0), DecodingRules(temperature=0.0)
        sweeps = [drawing] * self.sweeps + [greedy] * (0 if self.temperature else GREEDY_SWEEPS)
        passed = span.draft(texts, drawing, uniforms)
        yield texts
        for sweep, rules in enumerate(sweeps):
            passed = span.sweep(texts, passed, rules, uniforms, from_left=sweep % 2 == 1)
            yield texts
