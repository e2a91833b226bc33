"""AdamW (Loshchilov and Hutter 2019): Adam whose weight decay is not part of the gradient.

``m' = b1 m + (1 - b1) g``, ``v' = b2 v + (1 - b2) g^2``,
``w' = w - rate decay w - rate (m' / (1 - b1^t)) / (sqrt(v' / (1 - b2^t)) + epsilon)``.

The weight decay of Adam itself is added to ``g`` and divided by ``sqrt(v)`` with it, so that weights with large
gradients decay less. Here all weights decay by the same share. Biases and other vectors do not decay.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class AdamWOptions:
    weight_decay: float = seqlm.option(0.3, "Share of each weight, times the learning rate, taken off in a step.")
    beta1: float = seqlm.option(0.9, "How slowly the mean of the gradient forgets.")
    beta2: float = seqlm.option(0.999, "How slowly the mean square of the gradient forgets.")
    epsilon: float = seqlm.option(1e-8, "Added to the root of the mean square.")

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be above 0, not {self.epsilon}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, not {self.weight_decay}")


def build(learning_rate: float, options: AdamWOptions) -> Any:
    from seqlm_core.mxnet import mx, nd

    class AdamW(mx.optimizer.Optimizer):
        def create_state(self, index: int, weight: Any) -> tuple[Any, Any]:
            """Return ``m`` and ``v``."""
            return nd.zeros_like(weight), nd.zeros_like(weight)

        def update(self, index: int, weight: Any, grad: Any, state: tuple[Any, Any]) -> None:
            self._update_count(index)
            rate, t = self._get_lr(index), self._index_update_count[index]
            mean, mean_square = state
            if weight.ndim > 1:
                weight *= 1 - rate * options.weight_decay
            # MXNet's operator corrects no bias of the means. Both corrections, drawn into its rate and its epsilon:
            root = (1 - options.beta2**t) ** 0.5
            nd.adam_update(
                weight,
                grad,
                mean,
                mean_square,
                lr=rate * root / (1 - options.beta1**t),
                beta1=options.beta1,
                beta2=options.beta2,
                epsilon=options.epsilon * root,
                out=weight,
            )

    return AdamW(learning_rate=learning_rate)


@seqlm.hookimpl
def seqlm_optimizers() -> seqlm.OptimizerSpec:
    return seqlm.OptimizerSpec(
        "adamw", "Adam with decoupled weight decay", build, AdamWOptions, default_learning_rate=0.01
    )
