"""The update rules of some of MXNet's optimizers, as formulas with their constants."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Callable

from seqlm_core.engine.mxnet import mx


@dataclasses.dataclass(frozen=True)
class UpdateRule:
    """An update rule with its constants.

    In the formulas, ``w`` are the weights, ``rate`` is the learning rate, and ``g`` is the gradient with the weight
    decay of the optimizer added.

    Attributes:
        name: the name of the rule. ``sgd``: ``w -= rate g``. ``momentum``: ``m = mean_decay m - rate g``, ``w += m``.
            ``nesterov``: the same ``m``, ``w += mean_decay m - rate g``. ``rmsprop``:
            ``w -= rate g / sqrt(v + epsilon)``. ``adam``: ``w -= rate m / (sqrt(v) + epsilon)``.
        states: the names of the state's arrays: ``m``, ``v``, or both.
        mean_decay: decay factor of ``m``.
        square_decay: decay factor of ``v``, the running mean of ``g`` squared.
        epsilon: the constant in the formulas.
        bias_correction: a function of the number of steps that returns a factor of the learning rate.
    """

    name: str
    states: tuple[str, ...] = ()
    mean_decay: float = 0.0
    square_decay: float = 0.0
    epsilon: float = 0.0
    bias_correction: Callable[[int], float] = lambda steps: 1.0


def _sgd(optimizer: Any) -> UpdateRule:
    momentum = float(optimizer.momentum)
    return UpdateRule("momentum", ("m",), mean_decay=momentum) if momentum else UpdateRule("sgd")


def _nag(optimizer: Any) -> UpdateRule | None:
    if optimizer.wd:
        return None  # MXNet then decays the momentum by weights that are already updated
    momentum = float(optimizer.momentum)
    return UpdateRule("nesterov", ("m",), mean_decay=momentum) if momentum else UpdateRule("sgd")


def _rmsprop(optimizer: Any) -> UpdateRule | None:
    if optimizer.centered or optimizer.clip_weights:
        return None
    return UpdateRule("rmsprop", ("v",), square_decay=float(optimizer.gamma1), epsilon=float(optimizer.epsilon))


def _adam(optimizer: Any) -> UpdateRule | None:
    beta1, beta2 = float(optimizer.beta1), float(optimizer.beta2)

    def bias_correction(steps: int) -> float:
        return math.sqrt(1 - beta2**steps) / (1 - beta1**steps)

    return UpdateRule("adam", ("m", "v"), beta1, beta2, float(optimizer.epsilon), bias_correction)


_RULES: dict[type, Callable[[Any], UpdateRule | None]] = {
    mx.optimizer.SGD: _sgd,
    mx.optimizer.NAG: _nag,
    mx.optimizer.RMSProp: _rmsprop,
    mx.optimizer.Adam: _adam,
}


def update_rule(optimizer: mx.optimizer.Optimizer, parameters: Sequence[Any] = ()) -> UpdateRule | None:
    """Return the rule by which an optimizer updates these parameters; None if it is none of those above."""
    find = _RULES.get(type(optimizer))  # not for subclasses, which may compute something else
    if find is None:
        return None
    is_plain = (
        optimizer.clip_gradient is None
        and optimizer.lr_scheduler is None
        and not optimizer.multi_precision
        and all(parameter.lr_mult == parameter.wd_mult == 1 for parameter in parameters)
    )
    return find(optimizer) if is_plain else None
