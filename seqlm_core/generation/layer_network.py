"""Generation with the training network itself, which works for all cells: those without a step function need it."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import nd, readable_failures
from seqlm_core.model.graphs import LeftReading, RightReading, TokenLogProbabilities
from seqlm_core.model.language_network import LanguageNetwork


class LayerNetwork:
    """A :class:`~seqlm_core.generation.network.TextNetwork` that runs the layers of the training network.

    Args:
        network: the network, with its weights.
    """

    def __init__(self, network: LanguageNetwork) -> None:
        self._network = network
        self.bidirectional = network.backward_stack is not None
        self._read = LeftReading(network, 1, any_batch=True)
        self._probabilities = TokenLogProbabilities(network)
        if self.bidirectional:
            self._read_right = RightReading(network, 1, any_batch=True)

    def begin(self, rows: int) -> Any:
        return self._network.begin_state(rows)

    @readable_failures()
    def read(self, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        return self._read(self._ids(tokens), states)

    def begin_right(self, rows: int) -> Any:
        return self._network.begin_backward_state(rows)

    @readable_failures()
    def read_right(self, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        return self._read_right(self._ids(tokens), states)

    @readable_failures()
    def log_probabilities(self, left: Any, right: Any | None = None) -> np.ndarray:
        if right is None and self.bidirectional:
            right = nd.zeros_like(left)
        return self._probabilities(left, right)[0].asnumpy()

    def select(self, states: Any, rows: np.ndarray) -> Any:
        chosen = nd.array(rows, ctx=self._network.device, dtype="int32")
        if isinstance(states, nd.NDArray):
            return nd.take(states, chosen, axis=1)  # hidden vectors, (1, rows, hidden)
        return [[nd.take(state, chosen, axis=0) for state in layer] for layer in states]

    def choose(self, rows: np.ndarray, these: Any, others: Any) -> Any:
        order = np.arange(len(rows)) + np.where(rows, 0, len(rows))
        chosen = nd.array(order, ctx=self._network.device, dtype="int32")
        if isinstance(these, nd.NDArray):
            return nd.take(nd.concat(these, others, dim=1), chosen, axis=1)
        return [
            [nd.take(nd.concat(*arrays, dim=0), chosen, axis=0) for arrays in zip(*layers)]
            for layers in zip(these, others)
        ]

    def _ids(self, tokens: np.ndarray) -> Any:
        return nd.array(tokens[None, :], ctx=self._network.device, dtype="int32")
