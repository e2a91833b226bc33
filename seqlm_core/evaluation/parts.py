"""The surprisals of a long text, whose parts are read side by side, each after the tokens before it.

A model carries its states through the whole text, and so reads one token after the other. Here each part of the text
begins with fresh states some hundred tokens earlier. What is further away than that makes next to no difference to most
models; docs/benchmarks.md has figures.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Callable, NamedTuple

import numpy as np

from seqlm_core.engine.processes import InOrder
from seqlm_core.evaluation.surprisal import TokenSurprisal
from seqlm_core.model.window_network import WindowNetwork
from seqlm_core.reading.vocabulary import Vocabulary

PART = 4096
"""Tokens in a part."""

PARTS = 32
"""Parts that are read side by side."""

CONTEXT = 512
"""Tokens that are read before a part."""

WINDOW = 64
"""Time steps that are read at a time."""


class Stretch(NamedTuple):
    """Consecutive tokens of a text.

    Attributes:
        before: ids of the tokens before it, int64.
        ids: ids of its own tokens, int64.
        ends: whether each of all these tokens is the last one of a document, bool.
        part: how many tokens each of its parts has, but the last.
        context: how many tokens are read before each part, where there are so many.
    """

    before: np.ndarray
    ids: np.ndarray
    ends: np.ndarray
    part: int
    context: int


class LeftOut:
    """The lines or tokens at the beginning of a text whose surprisals are not wanted.

    Args:
        count: how many.
        per: ``line`` or ``token``.

    Attributes:
        rest: how many more are left out, after those of the tokens that were covered.
    """

    def __init__(self, count: int, per: str) -> None:
        self.rest = count
        self._counts_lines = per == "line"

    def covers(self, names: list[str]) -> bool:
        """Whether the next tokens of the text belong to nothing that is wanted; if so, they are counted."""
        if not self._counts_lines:
            covered = len(names) <= self.rest
            self.rest -= len(names) if covered else 0
            return covered
        ends = sum("\n" in name for name in names)
        # What comes after the last line feed belongs to a line that goes on after these tokens.
        covered = ends < self.rest or (ends == self.rest and "\n" in names[-1])
        self.rest -= ends if covered else 0
        return covered


def stretch_bits(network: WindowNetwork, stretch: Stretch) -> np.ndarray:
    """Return the surprisals of a stretch's tokens in bits, float64; NaN for a token with none before it."""
    before, ids, ends, part, context = stretch
    known = np.concatenate([before, ids]).astype(np.int32)
    # Row k reads from `context` tokens before its part on. Where there are fewer, it reads the first one over and over,
    # and begins afresh with it.
    firsts = np.arange(0, len(ids), part) + len(before)
    length = min(part, len(ids))
    places = firsts - context + np.arange(context + length)[:, None]
    within = np.clip(places, 0, len(known) - 1)
    tokens, afresh = known[within], np.where(places <= 0, 1, ends[within]).astype(np.int32)
    targets = known[np.clip(places + 1, 0, len(known) - 1)]
    nats = np.empty(places.shape)
    with network.computing():
        states = network.begin(len(firsts))
        for begin in range(0, len(places), WINDOW):
            window = slice(begin, begin + WINDOW)
            hidden, states = network.read(tokens[window], states, afresh[window])
            if begin + WINDOW >= context:
                nats[window] = network.losses(targets[window], hidden)
    # The last token of what comes before a part predicts its first one.
    bits = nats[context - 1 : -1].T.reshape(-1)[: len(ids)] / math.log(2)
    if not len(before):
        bits[0] = math.nan
    return bits


def surprisals_in_parts(
    in_order: InOrder,
    compute: Callable[[Stretch], np.ndarray],
    vocabulary: Vocabulary,
    tokens: Iterable[tuple[str, bool]],
    start: int | None = None,
    is_left_out: Callable[[list[str]], bool] = lambda names: False,
) -> Iterator[TokenSurprisal]:
    """Yield the tokens of a text with their surprisals.

    Args:
        in_order: applies a function to the stretches of the text.
        compute: the function, :func:`stretch_bits` of a network.
        vocabulary: the model's vocabulary.
        tokens: the tokens, and whether each is the last one of a document.
        start: id of a token that is read before the text; None reads none.
        is_left_out: whether nothing is wanted of these tokens, the next ones of the text. It is no longer called once
            something is wanted.
    """
    pending: deque[list[str]] = deque()

    def stretches() -> Iterator[Stretch]:
        before = np.array([] if start is None else [start], dtype=np.int64)
        ends_before = np.ones(len(before), dtype=bool)
        waiting = iter(tokens)
        leaves_out = True
        while some := list(itertools.islice(waiting, PART * PARTS)):
            names = [token for token, _ in some]
            ids = np.array([vocabulary.id(name) for name in names], dtype=np.int64)
            ends = np.concatenate([ends_before, [ended for _, ended in some]])
            leaves_out = leaves_out and is_left_out(names)
            if not leaves_out:
                pending.append(names)
                yield Stretch(before, ids, ends, PART, CONTEXT)
            before, ends_before = np.concatenate([before, ids])[-CONTEXT:], ends[-CONTEXT:]

    for bits in in_order(compute, stretches()):
        for name, of_token in zip(pending.popleft(), bits.tolist()):
            yield TokenSurprisal(name, None if math.isnan(of_token) else of_token, name in vocabulary)
