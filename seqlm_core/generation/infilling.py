"""Gaps of a text filled by a bidirectional model, given what is before and after them.

Gaps that are close together are a *span* and are filled together. Chains side by side draft fillings from left to
right, and come by candidates (:mod:`seqlm_core.generation.chains`).

The model gives two estimates of how probable each candidate is among all: the likelihood of filling and following
text, read from left to right, which is exact for the model without its backward direction; and the pseudo-likelihood
of the filling, the product of the probabilities of its tokens given everything else on both sides (Besag 1975). They
are pooled: a candidate's probability is in proportion to ``likelihood ** (1 - w) * pseudo_likelihood ** w`` (a
logarithmic opinion pool, Genest and Zidek 1986), where ``w`` is :data:`BOTH_SIDES_WEIGHT`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seqlm_core.engine.numerics import log_softmax
from seqlm_core.generation.chains import CHAINS, Search
from seqlm_core.generation.gaps import GappedText, white_space_beginnings
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.span import Context, Span
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary

DEFAULT_SWEEPS = 6
BOTH_SIDES_WEIGHT = 0.25
FOLLOWING = 16
"""How many tokens after a span its fillings are judged by. Gaps with fewer between them are one span."""
LONGEST_SPAN = 256
"""The most tokens of a span of several gaps, so that the memory it takes does not grow with the number of gaps."""


@dataclasses.dataclass(frozen=True)
class Filling:
    """What fills a gap.

    Attributes:
        text: of the tokens.
        tokens: as many as are missing.
        log_probability: of these tokens among all candidates, in nats.
        token_log_probabilities: of each token given everything else on both sides, the filling's other tokens
            included, in nats.
    """

    text: str
    tokens: list[str]
    log_probability: float
    token_log_probabilities: list[float]


@dataclasses.dataclass(frozen=True)
class InfilledText:
    """A text whose gaps are filled.

    Attributes:
        text: the whole.
        log_probability: of its fillings together among all candidates, in nats.
        fillings: of its gaps, in order.
    """

    text: str
    log_probability: float
    fillings: list[Filling]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return dataclasses.asdict(self)


class Infiller:
    """Fills gaps with a bidirectional model.

    Args:
        network: of the model.
        vocabulary: of the model.
        tokenizer: of the model.
        right_context: the most tokens after a span that the backward direction reads; never more than
            :data:`FOLLOWING`.
    """

    def __init__(self, network: TextNetwork, vocabulary: Vocabulary, tokenizer: Tokenizer, right_context: int) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.tokenizer = tokenizer
        self.right_context = min(right_context, FOLLOWING)

    def fill(self, gapped: GappedText, count: int, search: Search) -> Iterator[InfilledText]:
        """Yield the text with its gaps filled in several ways.

        At temperature 0 these are the most probable fillings that were found, the best first. Above 0 each text is the
        end of a chain of its own; the k-th does not depend on ``count``, and they are drawn as they are asked for.

        Args:
            gapped: the text.
            count: how many ways; at temperature 0 there may be fewer.
            search: how fillings are found.
        """
        begin = _PartlyFilled(self.vocabulary.ids(gapped.tokens), 0, Context(None, self.network.begin(1)))
        if search.temperature == 0:
            texts = [begin]
            for stretch in self._stretches(gapped):
                filled = self._best(self._read_up_to(texts, stretch.start), stretch, search)
                texts = list(itertools.islice(filled, count))
            yield from (self._infilled(gapped, text) for text in texts)
            return
        # As many at a time as there are chains, since those have their candidates in common.
        for first in range(0, count, CHAINS):
            texts = [begin] * min(CHAINS, count - first)
            for stretch in self._stretches(gapped):
                texts = self._drawn(self._read_up_to(texts, stretch.start), stretch, search, first)
            yield from (self._infilled(gapped, text) for text in texts)

    def _stretches(self, gapped: GappedText) -> Iterator[_Stretch]:
        spans = _spans(gapped.gaps)
        borders = [*(gaps[0].start for gaps in spans[1:]), len(gapped.tokens)]
        for number, (gaps, until) in enumerate(zip(spans, borders)):
            missing = [position for gap in gaps for position in gap]
            yield _Stretch(number, gaps, until, {position: self._allowed(gapped, position) for position in missing})

    def _allowed(self, gapped: GappedText, position: int) -> np.ndarray:
        """Return which tokens may stand at the position of a missing one, bool ``(vocabulary,)``."""
        if position in gapped.beginnings:
            return self._beginnings == gapped.beginnings[position]
        return self._known

    @functools.cached_property
    def _known(self) -> np.ndarray:
        return np.arange(len(self.vocabulary)) != UNKNOWN_ID

    @functools.cached_property
    def _beginnings(self) -> np.ndarray:
        return np.array(white_space_beginnings(self.tokenizer, self.vocabulary))

    def _best(self, texts: Sequence[_PartlyFilled], stretch: _Stretch, search: Search) -> Iterator[_PartlyFilled]:
        """Yield the texts that can be made by filling a span of given ones, the most probable first."""
        found = []
        for text in texts:
            choices = self._choices(text, stretch, search, first_chain=0)
            totals = (text.log_probability + choices.log_probabilities).tolist()
            found += [(total, text, choices, k) for k, total in enumerate(totals)]
        for _, text, choices, k in sorted(found, key=lambda pick: -pick[0]):
            yield text.filled(stretch.gaps, choices, k)

    def _drawn(
        self, texts: Sequence[_PartlyFilled], stretch: _Stretch, search: Search, first_chain: int
    ) -> list[_PartlyFilled]:
        """Return each text with a span filled as a chain of its own ended; those alike so far have chains in common."""
        choices = {text: self._choices(text, stretch, search, first_chain) for text in dict.fromkeys(texts)}
        return [text.filled(stretch.gaps, choices[text], choices[text].ends[chain]) for chain, text in enumerate(texts)]

    def _read_up_to(self, texts: Sequence[_PartlyFilled], position: int) -> list[_PartlyFilled]:
        """Return the texts, each read up to a position; those that are one text stay one."""
        read = {}
        for text in dict.fromkeys(texts):
            hidden, states = text.left
            for token in text.ids[text.position : position]:
                hidden, states = self.network.read(np.array([token]), states)
            read[text] = dataclasses.replace(text, position=position, left=Context(hidden, states))
        return [read[text] for text in texts]

    def _choices(self, text: _PartlyFilled, stretch: _Stretch, search: Search, first_chain: int) -> _Choices:
        """Return the candidates for a span, given what is before it, which has been read, and what is after it."""
        start, stop = stretch.start, stretch.stop
        following = text.ids[stop : min(stop + FOLLOWING, stretch.until)]
        hidden, states = None, self.network.begin_right(1)
        for token in following[: self.right_context][::-1]:
            hidden, states = self.network.read_right(np.array([token]), states)
        allowed = {position - start: tokens for position, tokens in stretch.allowed.items()}
        span = Span(self.network, self.vocabulary, allowed, text.left, Context(hidden, states))
        candidates, ends = search.candidates(span, text.ids[start:stop], stretch.number, first_chain)
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
class _Stretch:
    """Where a span is.

    Attributes:
        number: of the span in its text.
        gaps: that it is made of.
        until: where the next span begins, or the text ends.
        allowed: which tokens may stand at the position of each missing one, bool ``(vocabulary,)``.
    """

    number: int
    gaps: Sequence[range]
    until: int
    allowed: Mapping[int, np.ndarray]

    @property
    def start(self) -> int:
        """The position of its first token."""
        return self.gaps[0].start

    @property
    def stop(self) -> int:
        """The position after its last token."""
        return self.gaps[-1].stop


@dataclasses.dataclass(frozen=True)
class _Choices:
    """Candidates for a span, the best first.

    Attributes:
        texts: ids ``(candidates, length)``.
        log_probabilities: of each among all.
        both_sides: of their missing tokens from both sides, ``(candidates, missing)``.
        ends: the candidate at which each chain ended.
    """

    texts: np.ndarray
    log_probabilities: np.ndarray
    both_sides: np.ndarray
    ends: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class _PartlyFilled:
    """A text whose first few spans are filled.

    Attributes:
        ids: of the whole text.
        position: how many of them ``left`` has read.
        left: the context.
        log_probability: of the fillings so far.
        gaps: for each gap so far, the log-probability of its filling, and those of its tokens.
    """

    ids: np.ndarray
    position: int
    left: Context
    log_probability: float = 0.0
    gaps: tuple[tuple[float, list[float]], ...] = ()

    def filled(self, gaps: Sequence[range], choices: _Choices, chosen: int) -> _PartlyFilled:
        """Return the text with its next span, which is where it is read up to, filled."""
        start, stop = self.position, gaps[-1].stop
        ids = self.ids.copy()
        ids[start:stop] = choices.texts[chosen]
        found, missing = [], 0
        for gap in gaps:
            # Candidates for the whole span that agree in this gap count together.
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


def _spans(gaps: Sequence[range]) -> list[list[range]]:
    """Return the gaps, those together that are close to each other, up to a length."""
    spans = [[gaps[0]]]
    for gap in gaps[1:]:
        close = gap.start - spans[-1][-1].stop < FOLLOWING
        if close and gap.stop - spans[-1][0].start <= LONGEST_SPAN:
            spans[-1].append(gap)
        else:
            spans.append([gap])
    return spans
