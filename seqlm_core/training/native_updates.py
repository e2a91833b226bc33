"""Updates of all parameters in one call of the native kernels, for some of MXNet's optimizers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Callable

from seqlm_core.engine.arrays import CallInPlace
from seqlm_core.engine.mxnet import mx
from seqlm_core.native import training


@dataclasses.dataclass(frozen=True)
class UpdateRule:
    """An update rule of the native kernels, with its constants.

    In the formulas, ``w`` are the weights, ``rate`` is the learning rate, and ``g`` is the gradient with the weight
    decay added.

    Attributes:
        name: the name of the rule. ``sgd``: ``w -= rate g``. ``momentum``: ``m = mean_decay m - rate g``, ``w += m``.
            ``nesterov``: the same ``m``, ``w += mean_decay m - rate g``. ``rmsprop``:
            ``w -= rate g / sqrt(v + epsilon)``. ``adam``: ``w -= rate m / (sqrt(v) + epsilon)``.
        states: number of arrays for each parameter: ``m``, ``v``, or both.
        mean_decay: decay factor of ``m``.
        square_decay: decay factor of ``v``, the running mean of ``g`` squared.
        epsilon: the constant in the formulas.
        bias_correction: a function of the number of steps that returns a factor of the learning rate.
    """

    name: str
    states: int
    mean_decay: float = 0.0
    square_decay: float = 0.0
    epsilon: float = 0.0
    bias_correction: Callable[[int], float] = lambda steps: 1.0


def _sgd(optimizer: Any) -> UpdateRule:
    momentum = float(optimizer.momentum)
    return UpdateRule("momentum", 1, mean_decay=momentum) if momentum else UpdateRule("sgd", 0)


def _nag(optimizer: Any) -> UpdateRule | None:
    if optimizer.wd:
        return None  # MXNet then decays the momentum by weights that are already updated, and the kernels do not
    momentum = float(optimizer.momentum)
    return UpdateRule("nesterov", 1, mean_decay=momentum) if momentum else UpdateRule("sgd", 0)


def _rmsprop(optimizer: Any) -> UpdateRule | None:
    if optimizer.centered or optimizer.clip_weights:
        return None
    return UpdateRule("rmsprop", 1, square_decay=float(optimizer.gamma1), epsilon=float(optimizer.epsilon))


def _adam(optimizer: Any) -> UpdateRule | None:
    beta1, beta2 = float(optimizer.beta1), float(optimizer.beta2)

    def bias_correction(steps: int) -> float:
        return math.sqrt(1 - beta2**steps) / (1 - beta1**steps)

    return UpdateRule("adam", 2, beta1, beta2, float(optimizer.epsilon), bias_correction)


_RULES: dict[type, Callable[[Any], UpdateRule | None]] = {
    mx.optimizer.SGD: _sgd,
    mx.optimizer.NAG: _nag,
    mx.optimizer.RMSProp: _rmsprop,
    mx.optimizer.Adam: _adam,
}


def native_rule(optimizer: mx.optimizer.Optimizer, parameters: Sequence[Any]) -> UpdateRule | None:
    """Return the native rule that updates these parameters as the optimizer does; None if there is none."""
    find = _RULES.get(type(optimizer))  # not for subclasses, which may compute something else
    plain = (
        find is not None
        and optimizer.clip_gradient is None
        and optimizer.lr_scheduler is None
        and not optimizer.multi_precision
        and all(parameter.lr_mult == parameter.wd_mult == 1 for parameter in parameters)
        and all(parameter.list_data()[0].stype == "default" for parameter in parameters)
        and all(parameter.list_grad()[0].stype == "default" for parameter in parameters)
        and all(training.computes_natively(parameter) for parameter in parameters)
    )
    return find(optimizer) if find is not None and plain else None


class NativeUpdate:
    """Updates all weights in place.

    Args:
        rule: from :func:`native_rule`.
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
        kept = [arrays[k] for k in range(rule.states) for arrays in states]
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
