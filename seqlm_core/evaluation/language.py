"""How well a language model predicts a text, both for validation during training and for ``seqlm evaluate``."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from seqlm_core.display.bar import Bar
from seqlm_core.errors import TextError
from seqlm_core.evaluation.inspection import right_context_of
from seqlm_core.model.window_network import WindowNetwork
from seqlm_core.reading.tokenized_text import TokenizedText
from seqlm_core.reading.unknown import MOST_UNKNOWN
from seqlm_core.settings.reading_rules import ReadingRules
from seqlm_core.workers.workers import ALONE, Workers

RIGHT_CONTEXT_ROWS = 1024
"""The number of right contexts that are read at a time. It limits the memory."""


@dataclasses.dataclass(frozen=True)
class LanguageEvaluation:
    """A model's figures on a text. Every token except the first is predicted exactly once.

    Attributes:
        nats_per_token: mean loss per token in nats, reading from left to right.
        bits_per_character: the same loss in bits per character. Models with different tokenizers can be compared by it
            as long as no token is unknown. None if more than a tenth of the tokens are unknown.
        perplexity: ``exp(nats_per_token)``.
        tokens: number of predicted tokens.
        characters: number of characters in the predicted tokens.
        unknown_tokens: number of predicted tokens that are not in the vocabulary. They all count as ``<unk>``. So the
            more of them there are, the lower the losses are.
        unknown_share: their share of the predicted tokens, from 0 to 1.
        both_sides_nats_per_token: mean loss of a bidirectional model that reads the text on both sides of each token.
            It is a pseudo-likelihood, so no other figure is derived from it. None for other models.
        reading_rules: what the model took from the text while it read it. None if it took nothing, as in all figures of
            a training.
    """

    nats_per_token: float
    bits_per_character: float | None
    perplexity: float
    tokens: int
    characters: int
    unknown_tokens: int
    unknown_share: float
    both_sides_nats_per_token: float | None = None
    reading_rules: ReadingRules | None = None

    @property
    def loss(self) -> float:
        """The loss, or the mean of the two losses of a bidirectional model; the best epoch has the lowest."""
        both_sides = self.both_sides_nats_per_token
        return self.nats_per_token if both_sides is None else (self.nats_per_token + both_sides) / 2

    def to_record(self) -> dict[str, float]:
        """Return the figures of a validation that the history keeps, by their names there."""
        record = {"validation_nats_per_token": self.nats_per_token, "validation_unknown_share": self.unknown_share}
        if self.bits_per_character is not None:
            record["validation_bits_per_character"] = self.bits_per_character
        if self.both_sides_nats_per_token is not None:
            record["both_sides_nats_per_token"] = self.both_sides_nats_per_token
        return record

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a dictionary, without those that are None."""
        figures = dataclasses.asdict(self)
        if self.reading_rules is not None:
            figures["reading_rules"] = self.reading_rules.to_json()
        return {name: value for name, value in figures.items() if value is not None}


class LanguageEvaluator:
    """Computes the figures of a network on one text. It can do so again after the weights have changed.

    The text is read in streams side by side. Each stream except the first begins one window early, and this window is
    not counted. So no prediction is made without context. For the both-sides figure every prediction has the same
    number of tokens on its right: that of :func:`~seqlm_core.evaluation.inspection.right_context_of`. At
    the end of the text there are fewer.

    Args:
        network: the model.
        text: the text to predict; at least two tokens.
        sequence_length: number of time steps in a window.
        batch_size: the largest number of streams.
        workers: those who compute the figures together; each reads some of the streams.

    Raises:
        TextError: the text has fewer than two tokens, so that there is nothing to predict.
    """

    def __init__(
        self,
        network: WindowNetwork,
        text: TokenizedText,
        sequence_length: int,
        batch_size: int,
        workers: Workers = ALONE,
    ) -> None:
        self.network = network
        self.text = text
        check_predictable(text)
        self.predictions = len(text) - 1
        self.length = min(sequence_length, self.predictions)
        self.streams = min(batch_size, self.predictions // self.length)
        # The first stream counts all of its steps, the others all but their first window.
        steps = -(-(self.predictions + (self.streams - 1) * self.length) // self.streams)
        self.workers = workers
        self.starts = np.arange(self.streams)[workers.part_of(self.streams)] * (steps - self.length)
        self.steps = steps
        self.bidirectional = network.architecture.bidirectional
        self.right_context = 0
        if self.bidirectional:
            self.right_context = min(right_context_of(sequence_length), self.predictions - 1)

    def evaluate(self) -> LanguageEvaluation:
        """Return the figures with the network's current weights."""
        with self.network.computing(), Bar("evaluating", -(-self.steps // self.length)) as bar:
            return self._evaluate(bar)

    def _evaluate(self, bar: Bar) -> LanguageEvaluation:
        left_total, both_total = self.workers.sum_of("figures", self._totals(bar))
        both_sides = both_total / self.predictions if self.bidirectional else None
        return evaluation_of(self.text, left_total, both_sides_nats_per_token=both_sides)

    def _totals(self, bar: Bar) -> tuple[float, float]:
        """Return the sums of the losses, without and with the text to the right; 0 for what is not computed."""
        left_total = both_total = 0.0
        if not len(self.starts):
            return left_total, both_total
        states = self.network.begin(len(self.starts))
        end = self._contexts_at_end() if self.right_context else None
        for first in bar.over(range(0, self.steps, self.length)):
            step = first + np.arange(self.length)[:, None]
            positions = self.starts + step
            counted = (step < self.steps) & ((step >= self.length) | (self.starts == 0))
            counted &= positions < self.predictions
            left, states = self.network.read(self._tokens(positions), states, self._afresh(positions))
            targets = self._tokens(positions + 1)
            left_total += _sum_counted(self.network.losses(targets, left), counted)
            if self.bidirectional:
                right = self._right_contexts(positions, end) if end is not None else None
                both_total += _sum_counted(self.network.losses(targets, left, right), counted)
        return left_total, both_total

    def _tokens(self, positions: np.ndarray) -> np.ndarray:
        """Return the token ids at ``positions``. Beyond the end of the text it is the last id, which is not counted."""
        return self.text.ids[np.minimum(positions, len(self.text) - 1)]

    def _afresh(self, positions: np.ndarray) -> np.ndarray | None:
        """Return where the states are reset before the tokens at ``positions``; None without documents."""
        return None if self.text.ends is None else self.text.ends[np.minimum(positions, len(self.text) - 1)]

    def _right_contexts(self, positions: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the hidden vectors of the right contexts for predictions at ``positions``, ``(time, batch, hidden)``.

        The prediction at position p is of token p + 1, so its right context begins at p + 2.
        """
        furthest_first = np.arange(self.right_context, 0, -1)[:, None]
        flat = positions.ravel()
        rows = min(RIGHT_CONTEXT_ROWS, flat.size)
        padded = np.resize(flat, -(-flat.size // rows) * rows)  # equal shapes, so that one graph is enough
        states = self.network.begin_right(rows)
        parts = []
        for part in padded.reshape(-1, rows):
            read = part[None, :] + 1 + furthest_first
            hidden, _ = self.network.read_right(self._tokens(read), states, self._afresh(read))
            parts.append(self.network.vectors(hidden[-1]))
        vectors = np.concatenate(parts)[: flat.size]
        from_end = self.predictions - 1 - flat
        near_end = (from_end >= 0) & (from_end < self.right_context)
        vectors[near_end] = end[from_end[near_end]]
        if self.text.ends is not None:  # what follows the last token of a document is another document
            vectors[self.text.ends[np.minimum(flat + 1, self.predictions)] != 0] = 0
        return vectors.reshape(*positions.shape, vectors.shape[-1])

    def _contexts_at_end(self) -> np.ndarray:
        """Return the hidden vectors of the right contexts of 0, 1, 2, ... tokens at the end of the text."""
        positions = len(self.text) - 1 - np.arange(self.right_context)[:, None]
        read, _ = self.network.read_right(self._tokens(positions), self.network.begin_right(1), self._afresh(positions))
        vectors = self.network.vectors(read[:, 0])
        return np.concatenate([np.zeros_like(vectors[:1]), vectors[:-1]])


def evaluation_of(text: TokenizedText, total: float, **others: Any) -> LanguageEvaluation:
    """Return the figures of a text of at least two tokens.

    Args:
        text: the text.
        total: the sum of the losses of its predicted tokens in nats.
        others: the figures that are known besides.
    """
    predictions = len(text) - 1
    nats = total / predictions
    has_bits = text.unknown_share <= MOST_UNKNOWN
    return LanguageEvaluation(
        nats_per_token=nats,
        bits_per_character=total / math.log(2) / text.characters if has_bits else None,
        perplexity=math.exp(nats) if nats < 700 else math.inf,
        tokens=predictions,
        characters=text.characters,
        unknown_tokens=text.unknown_tokens,
        unknown_share=text.unknown_share,
        **others,
    )


def check_predictable(text: TokenizedText) -> None:
    """Raise :class:`TextError` if a text has fewer than two tokens, so that there is nothing to predict."""
    if len(text) < 2:
        raise TextError(f"{text.name} has a single token, and at least 2 are needed to predict one")


def _sum_counted(losses: np.ndarray, counted: np.ndarray) -> float:
    return float(np.where(counted, losses, 0).sum(dtype=np.float64))
