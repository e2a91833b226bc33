"""Stochastic gradient descent with momentum (Polyak 1964) or Nesterov's momentum."""

from __future__ import annotations

import dataclasses
from typing import Any

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class SGDOptions:
    momentum: float = seqlm.option(
        0.9, "Multiple of the last update that is added to the next; 0 switches momentum off."
    )
    nesterov: bool = seqlm.option(False, "Use Nesterov's momentum.")
    weight_decay: float = seqlm.option(0.0, "Multiple of each weight that is added to its gradient.")

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, not {self.momentum}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, not {self.weight_decay}")


def build(learning_rate: float, options: SGDOptions) -> Any:
    from seqlm_core.mxnet import mx

    kind = mx.optimizer.NAG if options.nesterov else mx.optimizer.SGD
    return kind(learning_rate=learning_rate, momentum=options.momentum, wd=options.weight_decay)


@seqlm.hookimpl
def seqlm_optimizers() -> seqlm.OptimizerSpec:
    return seqlm.OptimizerSpec(
        "sgd",
        "stochastic gradient descent with momentum",
        build,
        SGDOptions,
        default_learning_rate=1.0,
        elementwise=True,
    )
