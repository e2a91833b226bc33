"""Recurrent dropout: some of the recurrent weights are 0 in a step (DropConnect), as in Merity et al. 2018.

The weights themselves are changed for the time of a forward and a backward pass, and changed back before they are
updated. So this works for every cell, whatever it computes with them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from seqlm_core.engine.mxnet import nd
from seqlm_core.engine.randomness import generator
from seqlm_core.errors import SettingError
from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.training.dropout import draw_kept, mask_array

WeightMasks = list[tuple[Any, Any]]
"""Parameters, and the mask of each."""


class WeightDropping:
    """Draws the masks of the recurrent weights for each step of a training (https://arxiv.org/abs/1708.02182).

    Args:
        network: the network.
        rate: the probability that an element of a mask is 0. The others are ``1 / (1 - rate)``.
        seed: the seed of the training.

    Raises:
        SettingError: there is a rate, and the cell of a layer has no recurrent weights.
    """

    def __init__(self, network: RecurrentNetwork, rate: float, seed: int) -> None:
        self.network = network
        self.rate = rate
        self.seed = seed
        self._parameters = network.recurrent_weights if rate else {}
        if rate and not self._parameters:
            layers = [layer for stack in network.stacks.values() for layer in stack.layers]
            names = sorted({name for layer in layers for name in layer.seqlm_spec.recurrent_weights})
            raise SettingError(
                "recurrent_dropout",
                f"needs recurrent weights, and the cell has none called {' or '.join(names)}; its plugin can declare "
                "others by recurrent_weights",
            )

    def masks(self, step: int) -> WeightMasks:
        """Return the masks for a step; the first step is 0. Each weight's mask is drawn by itself."""
        masks = []
        for name, parameter in self._parameters.items():
            random = generator(self.seed, step, f"recurrent dropout of {name}")
            kept = draw_kept(parameter.shape, self.rate, random)
            mask = mask_array(kept, self.rate, parameter.shape, parameter.dtype, self.network.device)
            masks.append((parameter, mask))
        return masks


@contextlib.contextmanager
def dropped_weights(masks: WeightMasks) -> Iterator[None]:
    """Multiply the weights by their masks within the block, and the gradients that it computes, too."""
    weights = [(parameter.list_data()[0], mask) for parameter, mask in masks]
    whole = [weight.copy() for weight, _ in weights]
    for weight, mask in weights:
        nd.elemwise_mul(weight, mask, out=weight)
    try:
        yield
    finally:
        for (weight, _), kept in zip(weights, whole):
            kept.copyto(weight)
    for parameter, mask in masks:
        if parameter.grad_req != "null":
            gradient = parameter.list_grad()[0]
            nd.elemwise_mul(gradient, mask, out=gradient)
