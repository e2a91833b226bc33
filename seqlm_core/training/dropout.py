"""Dropout as masks that are drawn outside of the network, so that they can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.mxnet import nd


def dropout_masks(
    model: RecurrentNetwork, sizes: Sequence[int], rate: float, shape: tuple[int, int], random: np.random.Generator
) -> list[Any] | None:
    """Return a mask ``(time, batch, size)`` for each size, None if nothing is dropped.

    Args:
        model: whose device and type the masks get.
        sizes: channels of each mask.
        rate: share of the elements that are 0; the others are ``1 / (1 - rate)`` (inverted dropout).
        shape: time and batch.
        random: where the masks come from.
    """
    if not rate:
        return None
    masks = []
    for size in sizes:
        kept = random.random((*shape, size), dtype=np.float32) >= rate
        mask = kept.astype(np.float32) / np.float32(1 - rate)
        masks.append(nd.array(mask, ctx=model.device, dtype=model.dtype))
    return masks
