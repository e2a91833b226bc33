"""A language model that reads windows by graphs of MXNet, which works for all cells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import nd, readable_failures
from seqlm_core.model.graphs import LeftReading, PredictionLoss, RightReading
from seqlm_core.model.language_network import LanguageNetwork


class GraphWindows:
    """A :class:`~seqlm_core.model.window_network.WindowNetwork` that computes with the training network.

    It makes one graph for each shape, and computes with the network's current weights.

    Args:
        network: the network, with its weights.
        any_batch: whether the number of rows changes from call to call. Then a graph is made for each length alone,
            and the largest part of the speed is kept.
    """

    def __init__(self, network: LanguageNetwork, any_batch: bool = False) -> None:
        self.network = network
        self.architecture = network.architecture
        self._any_batch = any_batch
        self._graphs: dict[tuple[Any, ...], Any] = {}
        self._of_left = PredictionLoss(network)
        self._of_both = PredictionLoss(network)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        with readable_failures(), self.network.repeatable():
            yield

    def begin(self, rows: int) -> Any:
        return self.network.begin_state(rows)

    def begin_right(self, rows: int) -> Any:
        return self.network.begin_backward_state(rows)

    def read(self, tokens: np.ndarray, states: Any, afresh: np.ndarray | None = None) -> tuple[Any, Any]:
        return self._read(LeftReading, tokens, states, afresh, self.network.reset_states)

    def read_right(self, tokens: np.ndarray, states: Any, afresh: np.ndarray | None = None) -> tuple[Any, Any]:
        return self._read(RightReading, tokens, states, afresh, self.network.backward_reset_states)

    def losses(self, targets: np.ndarray, left: Any, right: np.ndarray | None = None) -> np.ndarray:
        targets = array_of(targets, np.int32, self.network.device)
        if right is not None:
            both = array_of(right, self.network.dtype, self.network.device)
            return self._of_both(left, both, targets).asnumpy()
        return self._of_left(left, nd.zeros_like(left) if self.architecture.bidirectional else None, targets).asnumpy()

    def vectors(self, hidden: Any) -> np.ndarray:
        return hidden.asnumpy()

    def _read(
        self,
        kind: type[LeftReading],
        tokens: np.ndarray,
        states: Any,
        afresh: np.ndarray | None,
        reset_states: Callable[[int], list[list[Any]]],
    ) -> tuple[Any, Any]:
        time, rows = tokens.shape
        key = (kind, time, 0 if self._any_batch else rows)
        if key not in self._graphs:
            self._graphs[key] = kind(self.network, time, self._any_batch)
        device = self.network.device
        resets = None if afresh is None else [array_of(afresh, np.int32, device), reset_states(rows)]
        return self._graphs[key](array_of(tokens, np.int32, device), states, resets)
