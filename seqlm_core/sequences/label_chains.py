"""Sequences of labels under a linear chain: their scores and probabilities, and the best ones.

The score of a sequence is the sum of a score of each label at its place, of each two labels that follow each other, and
of the first and the last label. Its probability is proportional to the exponential of its score, as in a conditional
random field (Lafferty et al. 2001). A softmax is the case in which only labels at their places have scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

AT_A_TIME = 64
"""The number of sequences that are computed side by side."""

TOO_SMALL = 1e-280


class ScoredLabels(NamedTuple):
    """A sequence of labels.

    Attributes:
        ids: the ids of the labels, ``(time,)``.
        log_probability: the logarithm of its probability, in nats.
    """

    ids: np.ndarray
    log_probability: float


@dataclasses.dataclass(frozen=True)
class LabelChain:
    """The scores of labels next to each other, in nats; ``-inf`` forbids.

    Attributes:
        first: the score of each label at the beginning, ``(labels,)``.
        transitions: the score of each label (second axis) after another, ``(labels, labels)``.
        last: the score of each label at the end, ``(labels,)``.
    """

    first: np.ndarray
    transitions: np.ndarray
    last: np.ndarray

    @classmethod
    def independent(cls, labels: int) -> LabelChain:
        """Return the chain without such scores, in which each label depends on its place alone."""
        return cls(np.zeros(labels), np.zeros((labels, labels)), np.zeros(labels))

    @property
    def is_independent(self) -> bool:
        """Whether all these scores are 0."""
        return not (self.first.any() or self.transitions.any() or self.last.any())

    @classmethod
    def mean(cls, chains: Sequence[LabelChain]) -> LabelChain:
        """Return the chain whose scores are the means of those of others."""
        return cls(*(np.mean(scores, axis=0) for scores in zip(*((c.first, c.transitions, c.last) for c in chains))))

    def reordered(self, ids: np.ndarray) -> LabelChain:
        """Return the chain of the same labels in another order, given the id that each has here."""
        return LabelChain(self.first[ids], self.transitions[np.ix_(ids, ids)], self.last[ids])

    def __add__(self, other: LabelChain) -> LabelChain:
        """Return the chain whose scores are the sums of these and others."""
        return LabelChain(self.first + other.first, self.transitions + other.transitions, self.last + other.last)

    def log_normalizers(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logarithm of the sum of the exponentials of the scores of all label sequences, in nats.

        By the forward algorithm (Rabiner 1989).

        Args:
            scores: for each sequence the score of each label at each place, ``(time, labels)``.

        Returns:
            For each sequence a number, ``(sequences,)``; 0 for an empty one.
        """
        if self.is_independent:
            return np.array([_log_sum(s.astype(np.float64)).sum() if len(s) else 0.0 for s in scores])
        found = np.zeros(len(scores))
        for side_by_side in _groups(scores):
            found[side_by_side.indices] = self._forward(side_by_side)[1]
        return found

    def log_probabilities(self, scores: Sequence[np.ndarray], ids: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logarithms of the probabilities of label sequences, in nats, ``(sequences,)``.

        Args:
            scores: as for :meth:`log_normalizers`.
            ids: for each sequence the ids of its labels, ``(time,)``; -1 stands for any label.
        """
        allowed = [
            np.where((row[:, None] == -1) | (row[:, None] == np.arange(len(self.first))), s, -np.inf)
            for s, row in zip(scores, ids)
        ]
        fitting = self.log_normalizers(allowed)
        return np.subtract(fitting, self.log_normalizers(scores), out=fitting, where=fitting > -np.inf)

    def marginals(self, scores: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the probability of each label at each place, ``(time, labels)``, for each sequence.

        By the forward-backward algorithm.
        """
        if self.is_independent:
            return [np.exp(s - _log_sum(s.astype(np.float64))) if len(s) else np.zeros(s.shape) for s in scores]
        found = [np.zeros(s.shape) for s in scores]
        for group in _groups(scores):
            forward, log_normalizers = self._forward(group)
            backward = self._backward(group)
            for column, (index, length) in enumerate(zip(group.indices, group.lengths)):
                if log_normalizers[column] > -np.inf:  # else no sequence is possible
                    logs = forward[:length, column] + backward[:length, column] - log_normalizers[column]
                    found[index] = np.exp(logs)
        return found

    def best(self, scores: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the ids of the best label sequence, ``(time,)``, for each sequence (Viterbi 1967)."""
        if self.is_independent:
            return [s.argmax(axis=1) if len(s) else np.zeros(0, np.int64) for s in scores]
        found = [np.zeros(0, np.int64) for _ in scores]
        for group in _groups(scores):
            time, batch, labels = group.scores.shape
            before = np.zeros((time, batch, labels), np.int64)
            best = self.first + group.scores[0]
            for t in range(1, time):
                n = group.active(t)
                candidates = best[:n, :, None] + self.transitions
                before[t, :n] = candidates.argmax(axis=1)
                best[:n] = candidates.max(axis=1) + group.scores[t, :n]
            last = (best + self.last).argmax(axis=1)
            for column, (index, length) in enumerate(zip(group.indices, group.lengths)):
                ids = np.empty(length, np.int64)
                ids[-1] = last[column]
                for t in range(length - 1, 0, -1):
                    ids[t - 1] = before[t, column, ids[t]]
                found[index] = ids
        return found

    def n_best(self, scores: Sequence[np.ndarray], count: int) -> list[list[ScoredLabels]]:
        """Return the best label sequences of each sequence, the best first.

        Args:
            scores: as for :meth:`log_normalizers`.
            count: how many; there are fewer where so few are possible.
        """
        if count == 1:  # side by side, which is faster
            best = self.best(scores)
            found = zip(best, self.log_probabilities(scores, best).tolist())
            return [[ScoredLabels(ids, p)] if p > -np.inf else [] for ids, p in found]
        normalizers = self.log_normalizers(scores)
        return [self._n_best(s, count, float(normalizer)) for s, normalizer in zip(scores, normalizers)]

    def _n_best(self, scores: np.ndarray, count: int, log_normalizer: float) -> list[ScoredLabels]:
        time, labels = scores.shape
        if not time:
            return [ScoredLabels(np.zeros(0, np.int64), 0.0)]
        # For each label the scores of the best sequences that end with it, and which were before: label and rank.
        best = (self.first + scores[0])[:, None]
        origins: list[np.ndarray] = []
        for t in range(1, time):
            candidates = best[None] + self.transitions.T[:, :, None]  # (label, label before, its rank)
            flat = candidates.reshape(labels, -1)
            kept = np.argsort(-flat, axis=1, kind="stable")[:, :count]
            origins.append(kept)
            best = np.take_along_axis(flat, kept, axis=1) + scores[t][:, None]
        ends = (best + self.last[:, None]).reshape(-1)
        found = []
        for end in np.argsort(-ends, kind="stable")[:count]:
            if ends[end] == -np.inf:
                break
            ids = np.empty(time, np.int64)
            ids[-1], rank = divmod(int(end), best.shape[1])
            for t in range(time - 1, 0, -1):
                ranks = 1 if t == 1 else origins[t - 2].shape[1]
                ids[t - 1], rank = divmod(int(origins[t - 1][ids[t], rank]), ranks)
            found.append(ScoredLabels(ids, float(ends[end]) - log_normalizer))
        return found

    def _forward(self, group: _SideBySide) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithms of the sums over all beginnings, ``(time, batch, labels)``, and of those over all."""
        sums = np.empty(group.scores.shape)
        sums[0] = self.first + group.scores[0]
        for t in range(1, len(sums)):
            n = group.active(t)
            sums[t] = -np.inf
            sums[t, :n] = _log_product(sums[t - 1, :n], self.transitions) + group.scores[t, :n]
        ends = sums[group.lengths - 1, np.arange(len(group.lengths))] + self.last
        return sums, _log_sum(ends)[:, 0]

    def _backward(self, group: _SideBySide) -> np.ndarray:
        """Return the logarithms of the sums over all ends, ``(time, batch, labels)``."""
        sums = np.empty(group.scores.shape)
        sums[-1] = self.last
        for t in range(len(sums) - 2, -1, -1):
            n = group.active(t + 1)
            sums[t] = self.last
            sums[t, :n] = _log_product(sums[t + 1, :n] + group.scores[t + 1, :n], self.transitions.T)
        return sums


class _SideBySide(NamedTuple):
    """Sequences side by side, the longest first, so that those that have not ended come first at each time step.

    Attributes:
        indices: which sequences they are.
        lengths: their lengths, at least 1.
        scores: their scores, ``(time, batch, labels)``; 0 after their ends.
    """

    indices: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray

    def active(self, time: int) -> int:
        """Return how many have a time step of this number."""
        return int(np.count_nonzero(self.lengths > time))


def _groups(scores: Sequence[np.ndarray]) -> Iterator[_SideBySide]:
    lengths = np.array([len(s) for s in scores], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    for first in range(0, len(order), AT_A_TIME):
        indices = order[first : first + AT_A_TIME]
        padded = np.zeros((lengths[indices[0]], len(indices), scores[indices[0]].shape[1]))
        for column, index in enumerate(indices):
            padded[: lengths[index], column] = scores[index]
        yield _SideBySide(indices, lengths[indices], padded)


def _log_product(logs: np.ndarray, log_factors: np.ndarray) -> np.ndarray:
    """Return the logarithms of ``exp(logs) @ exp(log_factors)``, where ``logs`` are rows."""
    highest, largest = (_finite_max(array, axis) for array, axis in ((logs, 1), (log_factors, 0)))
    product = np.exp(logs - highest) @ np.exp(log_factors - largest)
    with np.errstate(divide="ignore"):
        found = np.log(product) + highest + largest
    # Where all parts of a sum that are not 0 are too small for a double, it is computed once more, in another way.
    has_parts = (logs > -np.inf).astype(float) @ (log_factors > -np.inf).astype(float) > 0
    for row, column in np.argwhere(has_parts & (product < TOO_SMALL)):
        parts = logs[row] + log_factors[:, column]
        found[row, column] = np.log(np.exp(parts - parts.max()).sum()) + parts.max()
    return found


def _finite_max(array: np.ndarray, axis: int) -> np.ndarray:
    largest = array.max(axis=axis, keepdims=True)
    return np.where(np.isfinite(largest), largest, 0.0)


def _log_sum(logs: np.ndarray) -> np.ndarray:
    """Return the logarithms of the sums of the exponentials over the last axis, which stays with a size of 1."""
    return _log_product(logs, np.zeros((logs.shape[-1], 1)))
