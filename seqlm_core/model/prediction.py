"""Computing the outputs of a sequence model for sequences of any lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlm_core.display.bar import Bar
from seqlm_core.model.batch_network import BatchNetwork
from seqlm_core.sequences.batches import batches_in_order
from seqlm_core.sequences.encoded_sequences import EncodedSequences
from seqlm_core.sequences.label_chains import LabelChain, ScoredLabels
from seqlm_core.workers.workers import ALONE, Workers


class Predictor:
    """Computes outputs in batches.

    Args:
        network: the model.
        batch_size: the largest number of sequences in a batch.
        workers: those who compute together; each computes some of the batches, and all get all outputs.
        allowed: forbids some sequences of labels; None allows all.
    """

    def __init__(
        self,
        network: BatchNetwork,
        batch_size: int,
        workers: Workers = ALONE,
        allowed: LabelChain | None = None,
    ) -> None:
        self.network = network
        self.batch_size = batch_size
        self.workers = workers
        self.allowed = allowed

    def outputs(self, sequences: EncodedSequences) -> list[np.ndarray]:
        """Return the scores of labels in nats, or the standardized values, for each sequence.

        Each is an array ``(time, size)``, or ``(size,)`` if the model predicts one label for a sequence. That of an
        empty sequence is ``(0, size)``.
        """
        size = self.network.architecture.output_size
        per_step = self.network.architecture.outputs != "label"
        found = [np.zeros((n, size) if per_step or not n else size, self.network.dtype) for n in sequences.lengths]
        with self.network.computing(), Bar("predicting", len(found)) as bar:
            for number, batch in enumerate(batches_in_order(sequences, self.batch_size)):
                bar.advance(len(batch.indices))
                if number % self.workers.count != self.workers.rank:
                    continue
                computed = self.network.outputs(batch)
                for column, index in enumerate(batch.indices):
                    # A copy, since a view would keep the whole batch in memory.
                    kept = computed[: batch.lengths[column], column] if per_step else computed[column]
                    found[index] = kept.astype(self.network.dtype)
        if self.workers.count == 1:
            return found
        together = self.workers.united("outputs", np.concatenate([outputs.reshape(-1) for outputs in found]))
        ends = np.cumsum([outputs.size for outputs in found])
        return [part.reshape(outputs.shape) for part, outputs in zip(np.split(together, ends[:-1]), found)]

    @property
    def label_chain(self) -> LabelChain:
        """The chain of labels with the network's current weights; what is not allowed has a score all the same."""
        return self.network.label_chain()

    def best_labels(self, scores: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the ids of the most probable allowed sequence of labels, ``(time,)``, given the scores of each."""
        return self._allowed_chain.best(scores)

    def n_best_labels(self, scores: Sequence[np.ndarray], count: int) -> list[list[ScoredLabels]]:
        """Return the most probable allowed sequences of labels, at most ``count``, given scores of each sequence."""
        return self._allowed_chain.n_best(scores, count)

    def label_probabilities(self, scores: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the probability of each label at each place among allowed sequences, ``(time, labels)``."""
        return self._allowed_chain.marginals(scores)

    @property
    def _allowed_chain(self) -> LabelChain:
        return self.label_chain if self.allowed is None else self.label_chain + self.allowed
