"""RMSProp (Tieleman and Hinton 2012): ``n' = d n + (1 - d) g^2``, ``w' = w - rate g / sqrt(n' + epsilon)``."""

from __future__ import annotations

import dataclasses
from typing import Any

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class RMSPropOptions:
    decay: float = seqlm.option(0.95, "Decay rate d of the running mean square of the gradient.")
    epsilon: float = seqlm.option(1e-8, "Added to the mean square before the square root.")
    weight_decay: float = seqlm.option(0.0, "Multiple of each weight that is added to its gradient.")

    def __post_init__(self) -> None:
        if not 0 < self.decay < 1:
            raise ValueError(f"decay must be between 0 and 1, not {self.decay}")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be above 0, not {self.epsilon}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, not {self.weight_decay}")


def build(learning_rate: float, options: RMSPropOptions) -> Any:
    from seqlm_core.mxnet import mx

    return mx.optimizer.RMSProp(
        learning_rate=learning_rate, gamma1=options.decay, epsilon=options.epsilon, wd=options.weight_decay
    )


@seqlm.hookimpl
def seqlm_optimizers() -> seqlm.OptimizerSpec:
    return seqlm.OptimizerSpec(
        "rmsprop",
        "gradient over its running mean square",
        build,
        RMSPropOptions,
        default_learning_rate=0.01,
        elementwise=True,
    )
