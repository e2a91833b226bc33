"""What the workers of a training tell each other at each step: gradients, losses, and what one of them asks of all."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import nd
from seqlm_core.training.extension import REQUESTS
from seqlm_core.workers.workers import Workers


class Exchange:
    """Adds up over all workers.

    A request has to be met by all workers at the same step, and none of them waits to hear of it. So it is met a fixed
    number of steps after it was told, when all of them have read it.

    Args:
        workers: the workers of the training. One alone is told at once what it asks for.
        steps: the number of steps after which everything that was told has been read.
    """

    def __init__(self, workers: Workers, steps: int) -> None:
        self._workers = workers
        self._steps = steps
        self._asked: set[str] = set()
        self._told: dict[int, set[str]] = {}
        self._met: dict[str, int] = {}

    def add_up(self, gradients: dict[str, Any], losses: Any) -> Any:
        """Replace the gradients by their sums, and return what :meth:`loss` reads. This does not wait."""
        if self._workers.count == 1:
            return losses
        self._workers.add_up(gradients)
        asked = array_of(np.array([request in self._asked for request in REQUESTS]), losses.dtype, losses.context)
        return self._workers.sum_later("losses and requests", nd.concat(losses.sum().reshape((1,)), asked, dim=0))

    def loss(self, told: np.ndarray, step: int) -> float:
        """Return the sum of the losses of a step in nats, of all workers."""
        if self._workers.count == 1:
            return float(told.sum(dtype=np.float64))
        self._told[step] = {request for request, workers in zip(REQUESTS, told[1:]) if workers}
        self._told.pop(step - 2 * self._steps, None)
        return float(told[0])

    def agree(self, request: str, is_wanted: bool, step: int) -> bool:
        """Return whether all workers are to meet a request after this step. Call it at the end of each step."""
        if self._workers.count == 1:
            return is_wanted
        self._asked = self._asked | {request} if is_wanted else self._asked - {request}
        told_at = step - self._steps
        if request not in self._told.get(told_at, ()) or told_at <= self._met.get(request, 0):
            return False
        self._met[request] = step  # and with it what was asked for until now
        return True
