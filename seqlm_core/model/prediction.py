"""The outputs of a sequence network for sequences of any lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import nd
from seqlm_core.model.sequence_network import SequenceNetwork, SequenceOutputs
from seqlm_core.sequences.batches import Batch, EncodedSequences, batches_in_order


class NetworkInputs:
    """Batches as the network takes them: arrays on its device, and the states before each sequence."""

    def __init__(self, network: SequenceNetwork) -> None:
        self.network = network
        self._states: dict[tuple[int, int], list[Any]] = {}

    def __call__(self, batch: Batch) -> tuple[list[nd.NDArray], nd.NDArray | None, list[Any]]:
        """Return inputs, lengths or None, and states."""
        return (*self.arrays(batch), self.states(batch))

    def arrays(self, batch: Batch) -> tuple[list[nd.NDArray], nd.NDArray | None]:
        """Return inputs, and lengths or None."""
        device, dtype = self.network.device, self.network.dtype
        inputs = [array_of(a, np.int32 if a.dtype == np.int32 else dtype, device) for a in batch.inputs]
        return inputs, array_of(batch.lengths, np.int32, device) if self.network.reads_lengths else None

    def states(self, batch: Batch) -> list[Any]:
        """Return the states, the same arrays for all batches of a shape."""
        if batch.shape not in self._states:
            self._states[batch.shape] = self.network.begin_state(*batch.shape)
        return self._states[batch.shape]


class Predictor:
    """Computes outputs in batches, with a graph for each number of time steps and of sequences that comes up.

    Args:
        network: with its weights.
        batch_size: the most sequences side by side.
    """

    def __init__(self, network: SequenceNetwork, batch_size: int) -> None:
        self.network = network
        self.batch_size = batch_size
        self._inputs = NetworkInputs(network)
        self._graphs: dict[tuple[int, int], SequenceOutputs] = {}

    def outputs(self, sequences: EncodedSequences) -> list[np.ndarray]:
        """Return for each sequence log-probabilities in nats or standardized values.

        They are arrays ``(time, size)``, or ``(size,)`` of a model that predicts one label a sequence. An empty
        sequence has ``(0, size)``.
        """
        size = self.network.architecture.output_size
        found = [np.zeros((0, size), dtype=np.float32)] * len(sequences)
        per_step = self.network.architecture.outputs != "label"
        with self.network.repeatable():
            for batch in batches_in_order(sequences, self.batch_size):
                if batch.shape not in self._graphs:
                    self._graphs[batch.shape] = SequenceOutputs(self.network, batch.shape[0])
                computed = self._graphs[batch.shape](*self._inputs(batch)).asnumpy()
                for column, index in enumerate(batch.indices):
                    # Copied, so that a part does not keep the whole batch in memory.
                    kept = computed[: batch.lengths[column], column] if per_step else computed[column]
                    found[index] = kept.copy()
        return found
