"""Decoding: from the scores of labels, as a model computes them, to labels and their probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from seqlm_core.sequences.label_chains import LabelChain, ScoredLabels


@dataclasses.dataclass(frozen=True)
class LabelDecoder:
    """Finds the labels that are most probable, given the scores of labels at their places.

    Attributes:
        chain: the model's scores of labels next to each other.
        allowed: forbids some sequences of labels; None allows all.
    """

    chain: LabelChain
    allowed: LabelChain | None = None

    def best(self, scores: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the ids of the most probable allowed sequence of labels, ``(time,)``, given the scores of each."""
        return self._allowed_chain.best(scores)

    def n_best(self, scores: Sequence[np.ndarray], count: int) -> list[list[ScoredLabels]]:
        """Return the most probable allowed sequences of labels, at most ``count``, given scores of each sequence."""
        return self._allowed_chain.n_best(scores, count)

    def probabilities(self, scores: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the probability of each label at each place among allowed sequences, ``(time, labels)``."""
        return self._allowed_chain.marginals(scores)

    def nats(self, scores: Sequence[np.ndarray], ids: Sequence[np.ndarray]) -> float:
        """Return the loss of true labels in nats, their sum; -1 stands for any label.

        What is not allowed has a probability all the same, as in the training.
        """
        return -float(self.chain.log_probabilities(scores, ids).sum())

    @property
    def _allowed_chain(self) -> LabelChain:
        return self.chain if self.allowed is None else self.chain + self.allowed
