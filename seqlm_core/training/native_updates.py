"""Updates of all parameters in one pass of the native kernels, for MXNet's own optimizers."""

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
    """A rule of the native kernels, with the numbers that it takes.

    ``g`` is the gradient, with the weight decay added. Rates are without a unit.

    Attributes:
        name: ``sgd``: ``w -= rate g``; ``momentum``: ``w += m``, ``m = mean_decay m - rate g``; ``nesterov``: likewise
            with ``w += mean_decay m - rate g``; ``rmsprop``: ``w -= rate g / sqrt(v + epsilon)``; ``adam``:
            ``w -= rate m / (sqrt(v) + epsilon)``.
        states: how many arrays it keeps of each parameter: ``m``, ``v`` or both.
        mean_decay: of ``m``.
        square_decay: of ``v``, the running mean of ``g`` squared.
        epsilon: see above.
        bias_correction: returns the factor of the rate after so many steps.
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
        return None  # MXNet, computing in place, then decays the momentum by weights that are already updated
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
    """Return the native rule that does what an optimizer does to these parameters; None where there is none."""
    find = _RULES.get(type(optimizer))  # a subclass may do something else
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
        optimizer: whose learning rate is taken and whose counts of updates are raised.
        weights: of the parameters.
        gradients: likewise; they stay as they are.
        states: the arrays that the rule keeps of each parameter.
        clip_norm: largest norm of all gradients together; 0 does not clip.
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
        """Apply the gradients."""
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
