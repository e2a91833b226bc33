"""The average of the weights over the steps of a training, with which the model is measured, saved as best and sampled.

The training itself goes on with the weights of the last step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import CallInPlace, array_of, view_of
from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.errors import RunError
from seqlm_core.native.training import computes_natively
from seqlm_core.storage.checkpoint import layout

# MXNet's operator takes a limited number of arrays in a call.
MOST_AT_A_TIME = 32


class WeightAverage:
    """A running average of weights. Before the first weights are added there is none.

    Args:
        parameters: gluon parameters by name. Their arrays must not be replaced later.

    Attributes:
        steps: the number of steps whose weights have been added.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.steps = 0
        self._parameters = dict(parameters)
        self._weights = [parameter.list_data()[0] for parameter in parameters.values()]
        self._averages: list[Any] = []
        self._native_update: CallInPlace | None = None

    def add(self, share: float) -> None:
        """Add the current weights: ``average += share * (weights - average)``. The first time they are the average."""
        if self.steps:
            self._move(share)
        else:
            self._begin([weight.copy() for weight in self._weights])
        self.steps += 1

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Give the network the averaged weights within the block, if there are any. Afterwards it has its own again."""
        if not self.steps:
            yield
            return
        own = [weight.copy() for weight in self._weights]
        _copy(self._averages, self._weights)
        try:
            yield
        finally:
            _copy(own, self._weights)

    def state(self) -> dict[str, np.ndarray]:
        """Return the averages by the names of their parameters; nothing if there are none yet."""
        return {name: average.copy() for name, average in self.views().items()}

    def views(self) -> dict[str, np.ndarray]:
        """Return what :meth:`state` returns, but without copies, so that the next step changes it."""
        return {name: view_of(average) for name, average in zip(self._parameters, self._averages)}

    def restore(self, arrays: Mapping[str, np.ndarray], steps: int) -> None:
        """Restore the averages that :meth:`state` returned when ``steps`` steps had been added.

        Raises:
            RunError: the arrays are not those of these parameters.
        """
        weights = dict(zip(self._parameters, self._weights)) if steps else {}
        if layout(arrays) != layout(weights):
            raise RunError("the checkpoint's averaged weights are not those of the run's model")
        self.steps = steps
        self._begin([array_of(arrays[name], weight.dtype, weight.context) for name, weight in weights.items()])

    def _begin(self, averages: list[Any]) -> None:
        self._averages = averages
        if averages and all(computes_natively(parameter) for parameter in self._parameters.values()):
            self._native_update = CallInPlace("seqlm_update", [*averages, *self._weights], mx.nd.empty(1))

    def _move(self, share: float) -> None:
        """Move the averages towards the weights by a step of gradient descent, which MXNet and the kernels have.

        It computes ``average -= rate * (weights + decay * average)``, with ``rate = -share`` and ``decay = -1``.
        """
        if self._native_update is not None:
            self._native_update(
                rule="sgd",
                count=len(self._weights),
                learning_rate=-share,
                weight_decay=-1.0,
                mean_decay=0.0,
                square_decay=0.0,
                epsilon=0.0,
                rescale=1.0,
                clip_norm=0.0,
            )
            return
        for first in range(0, len(self._weights), MOST_AT_A_TIME):
            averages = self._averages[first : first + MOST_AT_A_TIME]
            weights = self._weights[first : first + MOST_AT_A_TIME]
            nd.multi_sgd_update(
                *(array for pair in zip(averages, weights) for array in pair),
                out=averages,
                lrs=[-share] * len(averages),
                wds=[-1.0] * len(averages),
                num_weights=len(averages),
            )


def _copy(sources: list[Any], targets: list[Any]) -> None:
    for source, target in zip(sources, targets):
        source.copyto(target)
