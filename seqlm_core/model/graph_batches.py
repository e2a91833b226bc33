"""A sequence model that reads batches by graphs of MXNet, which works for all cells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import nd, readable_failures
from seqlm_core.model.sequence_network import SequenceNetwork, SequenceOutputs
from seqlm_core.sequences.batches import Batch
from seqlm_core.sequences.label_chains import LabelChain


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


class GraphBatches:
    """A :class:`~seqlm_core.model.batch_network.BatchNetwork` that computes with the training network.

    It makes one graph for each shape of a batch, and computes with the network's current weights.

    Args:
        network: the network, with its weights.
    """

    def __init__(self, network: SequenceNetwork) -> None:
        self.network = network
        self.architecture = network.architecture
        self._inputs = NetworkInputs(network)
        self._graphs: dict[tuple[int, int], SequenceOutputs] = {}

    @property
    def dtype(self) -> Any:
        return self.network.dtype

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        with readable_failures(), self.network.repeatable():
            yield

    def outputs(self, batch: Batch) -> np.ndarray:
        if batch.shape not in self._graphs:
            self._graphs[batch.shape] = SequenceOutputs(self.network, batch.shape[0])
        return self._graphs[batch.shape](*self._inputs(batch)).asnumpy()

    def label_chain(self) -> LabelChain:
        chain: LabelChain = self.network.head.label_chain()
        return chain
