"""Adam (Kingma and Ba 2015), in the form that applies the bias corrections to the learning rate."""

from __future__ import annotations

import dataclasses
from typing import Any

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class AdamOptions:
    beta1: float = seqlm.option(0.9, "Decay rate of the running mean of the gradient.")
    beta2: float = seqlm.option(0.999, "Decay rate of the running mean square of the gradient.")
    epsilon: float = seqlm.option(1e-8, "Added to the square root of the mean square.")
    weight_decay: float = seqlm.option(0.0, "Multiple of each weight that is added to its gradient.")

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be above 0, not {self.epsilon}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, not {self.weight_decay}")


def build(learning_rate: float, options: AdamOptions) -> Any:
    from seqlm_core.mxnet import mx

    return mx.optimizer.Adam(
        learning_rate=learning_rate,
        beta1=options.beta1,
        beta2=options.beta2,
        epsilon=options.epsilon,
        wd=options.weight_decay,
    )


@seqlm.hookimpl
def seqlm_optimizers() -> seqlm.OptimizerSpec:
    return seqlm.OptimizerSpec(
        "adam", "adaptive moment estimation", build, AdamOptions, default_learning_rate=0.01, elementwise=True
    )
