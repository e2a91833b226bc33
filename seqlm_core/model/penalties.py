"""Penalties on a network's outputs, which keep them small and slow (Merity et al. 2017).

Source: https://arxiv.org/abs/1708.01009, there called activation regularization and temporal activation regularization.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from seqlm_core.native import training


@dataclasses.dataclass(frozen=True)
class Penalties:
    """Penalties that a network is trained with, besides its loss.

    Attributes:
        activation: the factor of the mean square of the last layer's outputs.
        temporal: the factor of the mean square of their differences from one time step to the next.
    """

    activation: float = 0.0
    temporal: float = 0.0

    def add(self, F: Any, losses: Any, outputs: Any, natively: bool = False) -> Any:
        """Return losses of the same values, with gradients that are those of losses and penalties together.

        So what is reported is the loss alone, and penalties count wherever the loss of a time step does.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            losses: the loss of each time step, ``(time, batch)``.
            outputs: the last layer's outputs after dropout, ``(time, batch, hidden)``.
            natively: whether the native kernels compute.
        """
        if natively and (self.activation or self.temporal):
            return training.penalized(F, losses, outputs, self.activation, self.temporal)
        penalties = []
        if self.activation:
            penalties.append(self.activation * _mean_square(F, outputs))
        if self.temporal:
            later = F.slice_axis(outputs, axis=0, begin=1, end=None)
            earlier = F.slice_axis(outputs, axis=0, begin=0, end=-1)
            differences = _mean_square(F, later - earlier)
            first = F.zeros_like(F.slice_axis(losses, axis=0, begin=0, end=1))
            penalties.append(self.temporal * F.concat(first, differences, dim=0))
        for penalty in penalties:
            losses = losses + (penalty - F.BlockGrad(penalty))
        return losses


def _mean_square(F: Any, values: Any) -> Any:
    """Return the mean square of the last axis of ``(time, batch, hidden)``.

    It is a product with equal weights, since MXNet's own mean takes five times as long on a processor.
    """
    first = F.slice(values, begin=(0, 0, None), end=(1, 1, None)).reshape((-1,))
    return F.dot(F.square(values), F.softmax(F.zeros_like(first)))


NO_PENALTIES = Penalties()
