"""Updates of all parameters in one call of the native kernels, by the rules of some of MXNet's optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqlm_core.engine.arrays import CallInPlace
from seqlm_core.engine.mxnet import mx
from seqlm_core.native import training
from seqlm_core.training.update_rules import UpdateRule


def can_be_updated_natively(parameters: Sequence[Any]) -> bool:
    """Return whether the native kernels can update these parameters."""
    return (
        all(parameter.list_data()[0].stype == "default" for parameter in parameters)
        and all(parameter.list_grad()[0].stype == "default" for parameter in parameters)
        and all(training.computes_natively(parameter) for parameter in parameters)
    )


class NativeUpdate:
    """Updates all weights in place.

    Args:
        rule: the rule of the optimizer.
        optimizer: the optimizer; its learning rate is used, and its counts of updates are increased.
        weights: the array of each parameter.
        gradients: the gradient of each parameter, which is not changed.
        states: the state arrays of each parameter.
        clip_norm: the largest norm of all gradients together; 0 means no clipping.
    """

    def __init__(
        self,
        rule: UpdateRule,
        optimizer: mx.optimizer.Optimizer,
        weights: Sequence[Any],
        gradients: Sequence[Any],
        states: Sequence[Sequence[Any]],
        clip_norm: float,
    ) -> None:
        self.rule = rule
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self._indices = list(range(len(weights)))
        kept = [arrays[k] for k in range(len(rule.states)) for arrays in states]
        self._call = CallInPlace("seqlm_update", [*weights, *gradients, *kept], mx.nd.empty(1))

    def step(self) -> None:
        """Update the weights by their gradients."""
        rule, optimizer = self.rule, self.optimizer
        optimizer._update_count(self._indices)
        self._call(
            rule=rule.name,
            count=len(self._indices),
            learning_rate=optimizer.learning_rate * rule.bias_correction(optimizer._index_update_count[0]),
            weight_decay=optimizer.wd,
            mean_decay=rule.mean_decay,
            square_decay=rule.square_decay,
            epsilon=rule.epsilon,
            rescale=optimizer.rescale_grad,
            clip_norm=self.clip_norm,
        )
