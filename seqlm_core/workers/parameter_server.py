"""Workers that add up through MXNet's parameter server (ps-lite), on one machine or on many.

A job has a scheduler, servers, which add up, and workers. Each process finds its role and the scheduler in its
environment, as whatever starts it has set it: ``DMLC_ROLE``, ``DMLC_PS_ROOT_URI``, ``DMLC_PS_ROOT_PORT``,
``DMLC_NUM_WORKER`` and ``DMLC_NUM_SERVER``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.workers.environment import RUN_FILE
from seqlm_core.workers.watch import Watch
from seqlm_core.workers.workers import Workers

# A store waits for all others of the job when it is freed, which must not happen before the process ends.
_stores: list[Any] = []


class ParameterServerWorkers(Workers):
    """The workers of a job with a parameter server.

    Arrays are of float32. Whether MXNet's server adds others up in float32, too, is a matter of chance: its member
    ``multi_precision_`` has no value until somebody sets it.

    Args:
        watch: the connection to the scheduler, by which the workers have their numbers and notice when one dies.
        count: the number of workers.
    """

    def __init__(self, watch: Watch, count: int) -> None:
        self.rank = watch.number
        self.count = count
        self._watch = watch
        self._store = mx.kvstore.create("dist_sync")
        _stores.append(self._store)
        self._begun: set[str] = set()
        self._arrays: dict[str, Any] = {}

    def add_up(self, arrays: Mapping[str, Any]) -> None:
        for place, (name, array) in enumerate(arrays.items()):
            if self._arrays.setdefault(name, array) is not array:
                raise ValueError(f"{name} is another array than before")
            self._exchange(name, array, priority=-place)

    def sum_later(self, name: str, array: Any) -> Any:
        own = self._arrays.get(name)
        if own is None:
            own = self._arrays[name] = array.copy()
        else:
            array.copyto(own)
        self._exchange(name, own, priority=0)
        return own.copy()

    def _sum_now(self, name: str, array: np.ndarray) -> np.ndarray:
        return np.asarray(self.sum_later(name, nd.array(array, dtype=np.float32)).asnumpy())

    def check_same(self, facts: Mapping[str, str]) -> None:
        self._watch.check_same(facts)

    def begin(self, run: Path) -> None:
        told = os.environ.get(RUN_FILE)
        if told is not None:
            Path(told).write_text(os.fspath(run.resolve()), encoding="utf-8")

    def finished(self) -> None:
        self._watch.leave()

    def _exchange(self, name: str, array: Any, priority: int) -> None:
        # MXNet keeps the order of what is done to an array. With another array each time, what one worker sends for a
        # step could be added to what another sent for the step before.
        if name not in self._begun:
            self._store.init(name, nd.zeros(array.shape, dtype=array.dtype))
            self._begun.add(name)
        self._store.push(name, array, priority=priority)
        self._store.pull(name, out=array, priority=priority)
