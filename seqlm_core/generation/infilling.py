"""Fills the gaps of a text with a bidirectional model, which reads the text before and after them.

Gaps that are close together form a *span* and are filled together. Several Markov chains find candidates for the
fillings of a span (:mod:`seqlm_core.generation.chains`).

The model gives two estimates of each candidate's probability. The first is the likelihood of the filling and the text
after it, read from left to right. It is exact for the model without its backward direction. The second is the
pseudo-likelihood of the filling: the product of its tokens' probabilities, each given all other tokens on both sides
(Besag 1975). The two are combined to a logarithmic opinion pool (Genest and Zidek 1986): a candidate's probability is
proportional to ``likelihood ** (1 - w) * pseudo_likelihood ** w``, where ``w`` is :data:`BOTH_SIDES_WEIGHT`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqlm_core.display.bar import Bar
from seqlm_core.engine.numerics import log_softmax
from seqlm_core.generation.chains import CHAINS, CandidateSearch
from seqlm_core.generation.gaps import GappedText, leading_white_space
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.placed_spans import FOLLOWING, PlacedSpan, grouped
from seqlm_core.generation.span import Context, Span, begin_text
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary

DEFAULT_SWEEPS = 6
BOTH_SIDES_WEIGHT = 0.25


@dataclasses.dataclass(frozen=True)
class Filling:
    """The filling of a gap.

    Attributes:
        text: the text of the tokens.
        tokens: the tokens, as many as are missing.
        log_probability: log-probability of these tokens in nats, among all candidates.
        token_log_probabilities: log-probability of each token in nats, given all other tokens on both sides, those of
            the filling included.
    """

    text: str
    tokens: list[str]
    log_probability: float
    token_log_probabilities: list[float]


@dataclasses.dataclass(frozen=True)
class InfilledText:
    """A text whose gaps are filled.

    Attributes:
        text: the whole text.
        log_probability: log-probability of all fillings together in nats, among all candidates.
        fillings: the fillings of the gaps, in order.
    """

    text: str
    log_probability: float
    fillings: list[Filling]

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as values that JSON can hold."""
        return dataclasses.asdict(self)


class Infiller:
    """Fills gaps with a bidirectional model.

    Args:
        network: the model's network.
        vocabulary: the model's vocabulary.
        tokenizer: the model's tokenizer.
        right_context: the most tokens after a span that the backward direction reads, at most :data:`FOLLOWING`.
        start: id of a token that is read before the text; None reads none.
    """

    def __init__(
        self,
        network: TextNetwork,
        vocabulary: Vocabulary,
        tokenizer: Tokenizer,
        right_context: int,
        start: int | None = None,
    ) -> None:
        self.network = network
        self.start = start
        self.vocabulary = vocabulary
        self.tokenizer = tokenizer
        self.right_context = min(right_context, FOLLOWING)
        self._bar = Bar("filling")

    def fill(self, gapped: GappedText, count: int, search: CandidateSearch) -> Iterator[InfilledText]:
        """Yield the text several times, its gaps filled in different ways.

        At temperature 0 these are the most probable fillings that were found, the best first. Above 0 each text comes
        from a chain of its own. The k-th text does not depend on ``count``. Texts are drawn only when they are needed.

        Args:
            gapped: the text.
            count: number of texts to yield; at temperature 0 there may be fewer.
            search: finds candidates for the fillings.
        """
        rounds = 1 if search.temperature == 0 else -(-count // CHAINS)
        with Bar("filling", rounds * sum(map(len, gapped.gaps))) as self._bar:
            yield from self._fill(gapped, count, search)

    def _fill(self, gapped: GappedText, count: int, search: CandidateSearch) -> Iterator[InfilledText]:
        begin = _PartlyFilled(self.vocabulary.ids(gapped.tokens), 0, begin_text(self.network, self.start))
        if search.temperature == 0:
            texts = [begin]
            for placed in self._placed_spans(gapped):
                filled = self._best(self._read_up_to(texts, placed.start), placed, search)
                texts = list(itertools.islice(filled, count))
            yield from (self._infilled(gapped, text) for text in texts)
            return
        # As many texts at a time as there are chains, since the chains share their candidates.
        for first in range(0, count, CHAINS):
            texts = [begin] * min(CHAINS, count - first)
            for placed in self._placed_spans(gapped):
                texts = self._drawn(self._read_up_to(texts, placed.start), placed, search, first)
            yield from (self._infilled(gapped, text) for text in texts)

    def _placed_spans(self, gapped: GappedText) -> Iterator[PlacedSpan]:
        spans = grouped(gapped.gaps)
        borders = [*(gaps[0].start for gaps in spans[1:]), len(gapped.tokens)]
        for number, (gaps, until) in enumerate(zip(spans, borders)):
            missing = [position for gap in gaps for position in gap]
            yield PlacedSpan(number, gaps, until, {position: self._allowed(gapped, position) for position in missing})

    def _allowed(self, gapped: GappedText, position: int) -> np.ndarray:
        """Return whether each token may stand at the position of a missing one, bool ``(vocabulary,)``."""
        if position in gapped.beginnings:
            return self._beginnings == gapped.beginnings[position]
        return self._known

    @functools.cached_property
    def _known(self) -> np.ndarray:
        return np.arange(len(self.vocabulary)) != UNKNOWN_ID

    @functools.cached_property
    def _beginnings(self) -> np.ndarray:
        return np.array(leading_white_space(self.tokenizer, self.vocabulary))

    def _best(
        self, texts: Sequence[_PartlyFilled], placed: PlacedSpan, search: CandidateSearch
    ) -> Iterator[_PartlyFilled]:
        """Yield all texts that result from filling a span of the given texts, the most probable first."""
        found = []
        for text in texts:
            choices = self._choices(text, placed, search, 0, len(texts))
            totals = (text.log_probability + choices.log_probabilities).tolist()
            found += [(total, text, choices, k) for k, total in enumerate(totals)]
        for _, text, choices, k in sorted(found, key=lambda pick: -pick[0]):
            yield text.filled(placed.gaps, choices, k)

    def _drawn(
        self, texts: Sequence[_PartlyFilled], placed: PlacedSpan, search: CandidateSearch, first_chain: int
    ) -> list[_PartlyFilled]:
        """Return each text with a span filled by the end of a chain of its own; equal texts share a search."""
        different = dict.fromkeys(texts)
        choices = {text: self._choices(text, placed, search, first_chain, len(different)) for text in different}
        return [text.filled(placed.gaps, choices[text], choices[text].ends[chain]) for chain, text in enumerate(texts)]

    def _read_up_to(self, texts: Sequence[_PartlyFilled], position: int) -> list[_PartlyFilled]:
        """Return the texts, each read up to a position; a text that is there several times is read once."""
        read = {}
        for text in dict.fromkeys(texts):
            hidden, states = text.left
            for token in text.ids[text.position : position]:
                hidden, states = self.network.read(np.array([token]), states)
            read[text] = dataclasses.replace(text, position=position, left=Context(hidden, states))
        return [read[text] for text in texts]

    def _choices(
        self, text: _PartlyFilled, placed: PlacedSpan, search: CandidateSearch, first_chain: int, searches: int
    ) -> _Choices:
        """Return the candidates for a span, given the text before it, which has been read, and the text after it.

        It is one of several searches for fillings of this span, each after another text.
        """
        start, stop = placed.start, placed.stop
        following = text.ids[stop : min(stop + FOLLOWING, placed.until)]
        hidden, states = None, self.network.begin_right(1)
        for token in following[: self.right_context][::-1]:
            hidden, states = self.network.read_right(np.array([token]), states)
        allowed = {position - start: tokens for position, tokens in placed.allowed.items()}
        span = Span(self.network, self.vocabulary, allowed, text.left, Context(hidden, states))
        candidates, ends = search.candidates(
            span,
            text.ids[start:stop],
            placed.number,
            first_chain,
            lambda share: self._bar.advance(share * len(placed.allowed) / searches),
        )
        judgement = span.judge(candidates, following)
        pooled = (1 - BOTH_SIDES_WEIGHT) * judgement.likelihoods + BOTH_SIDES_WEIGHT * judgement.both_sides.sum(axis=1)
        order = np.argsort(-pooled, kind="stable")
        return _Choices(
            candidates[order], log_softmax(pooled)[order], judgement.both_sides[order], np.argsort(order)[ends]
        )

    def _infilled(self, gapped: GappedText, text: _PartlyFilled) -> InfilledText:
        tokens = list(gapped.tokens)
        fillings = []
        for gap, (log_probability, of_tokens) in zip(gapped.gaps, text.gaps):
            filling = [self.vocabulary.tokens[token] for token in text.ids[gap.start : gap.stop]]
            tokens[gap.start : gap.stop] = filling
            fillings.append(Filling(self.tokenizer.detokenize(filling), filling, log_probability, of_tokens))
        return InfilledText(self.tokenizer.detokenize(tokens), text.log_probability, fillings)


@dataclasses.dataclass(frozen=True)
class _Choices:
    """The candidates for a span, the best first.

    Attributes:
        texts: the ids of the candidates, ``(candidates, length)``.
        log_probabilities: the log-probability of each candidate among all, in nats.
        both_sides: the log-probabilities of their missing tokens, given all other tokens on both sides, in nats,
            ``(candidates, missing)``.
        ends: for each chain the number of its last candidate.
    """

    texts: np.ndarray
    log_probabilities: np.ndarray
    both_sides: np.ndarray
    ends: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class _PartlyFilled:
    """A text whose first spans are filled.

    Attributes:
        ids: ids of the whole text.
        position: number of ids that have been read.
        left: hidden vector and states after reading them.
        log_probability: log-probability of the fillings so far, in nats.
        gaps: for each filled gap, the log-probability of the filling, and the log-probabilities of its tokens.
    """

    ids: np.ndarray
    position: int
    left: Context
    log_probability: float = 0.0
    gaps: tuple[tuple[float, list[float]], ...] = ()

    def filled(self, gaps: Sequence[range], choices: _Choices, chosen: int) -> _PartlyFilled:
        """Return the text with its next span, which begins at ``position``, filled."""
        start, stop = self.position, gaps[-1].stop
        ids = self.ids.copy()
        ids[start:stop] = choices.texts[chosen]
        found, missing = [], 0
        for gap in gaps:
            # The probability of a gap's filling is the sum over all candidates for the span that have this filling.
            inside = slice(gap.start - start, gap.stop - start)
            agreeing = (choices.texts[:, inside] == choices.texts[chosen, inside]).all(axis=1)
            log_probability = float(np.logaddexp.reduce(choices.log_probabilities[agreeing]))
            of_tokens = choices.both_sides[chosen, missing : missing + len(gap)].tolist()
            found.append((min(0.0, log_probability), of_tokens))
            missing += len(gap)
        return dataclasses.replace(
            self,
            ids=ids,
            log_probability=self.log_probability + float(choices.log_probabilities[chosen]),
            gaps=(*self.gaps, *found),
        )
