"""Computing the outputs of a sequence network for sequences of any lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import nd
from seqlm_core.model.sequence_network import SequenceNetwork, SequenceOutputs
from seqlm_core.sequences.batches import Batch, EncodedSequences, batches_in_order


class NetworkInputs:
    """Turns batches into the network's arguments: arrays on its device, and the states to begin with."""

    def __init__(self, network: SequenceNetwork) -> None:
        self.network = network
        self._states: dict[tuple[int, int], list[Any]] = {}

    def __call__(self, batch: Batch) -> tuple[list[nd.NDArray], nd.NDArray | None, list[Any]]:
        """Return the inputs, the lengths (None if the network does not need them), and the initial states."""
        return (*self.arrays(batch), self.states(batch))

    def arrays(self, batch: Batch) -> tuple[list[nd.NDArray], nd.NDArray | None]:
        """Return the inputs, and the lengths (None if the network does not need them)."""
        device, dtype = self.network.device, self.network.dtype
        inputs = [array_of(a, np.int32 if a.dtype == np.int32 else dtype, device) for a in batch.inputs]
        return inputs, array_of(batch.lengths, np.int32, device) if self.network.reads_lengths else None

    def states(self, batch: Batch) -> list[Any]:
        """Return the initial states; batches of the same shape share their arrays."""
        if batch.shape not in self._states:
            self._states[batch.shape] = self.network.begin_state(*batch.shape)
        return self._states[batch.shape]


class Predictor:
    """Computes outputs in batches. It makes one graph for each shape of a batch.

    Args:
        network: the network, with its weights.
        batch_size: the largest number of sequences in a batch.
    """

    def __init__(self, network: SequenceNetwork, batch_size: int) -> None:
        self.network = network
        self.batch_size = batch_size
        self._inputs = NetworkInputs(network)
        self._graphs: dict[tuple[int, int], SequenceOutputs] = {}

    def outputs(self, sequences: EncodedSequences) -> list[np.ndarray]:
        """Return the log-probabilities in nats, or the standardized values, for each sequence.

        Each is an array ``(time, size)``, or ``(size,)`` if the model predicts one label for a sequence. That of an
        empty sequence is ``(0, size)``.
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
                    # A copy, since a view would keep the whole batch in memory.
                    kept = computed[: batch.lengths[column], column] if per_step else computed[column]
                    found[index] = kept.copy()
        return found
