"""Dropout as masks that are drawn outside of the network, so that they can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import make_array
from seqlm_core.model.recurrent_network import RecurrentNetwork


def dropout_masks(
    network: RecurrentNetwork, sizes: Sequence[int], rate: float, shape: tuple[int, int], random: np.random.Generator
) -> list[Any] | None:
    """Return a mask ``(time, batch, size)`` for each size, None if nothing is dropped.

    Args:
        network: the network; the masks have its device and type.
        sizes: channels of each mask.
        rate: share of the elements that are 0; the others are ``1 / (1 - rate)`` (inverted dropout).
        shape: time and batch.
        random: where the masks come from.
    """
    if not rate:
        return None
    scale = np.float32(1 / (1 - rate))
    masks = []
    for size in sizes:
        kept = draw_kept((*shape, size), rate, random)

        def write(mask: np.ndarray, kept: np.ndarray = kept) -> None:
            np.multiply(kept, scale, out=mask, casting="unsafe")

        masks.append(make_array(kept.shape, network.dtype, network.device, write))
    return masks


def draw_kept(shape: tuple[int, ...], rate: float, random: np.random.Generator) -> np.ndarray:
    """Return which elements are kept, bool of this shape; each is dropped with probability ``rate``, to 1 / 2**24.

    A random byte decides. Where it equals the first byte of the rate, two more bytes do.
    """
    first, rest = divmod(int(rate * 2**24), 2**16)
    count = int(np.prod(shape))
    # Whole words are what the generator makes fastest, and it lets other threads work meanwhile.
    words = random.integers(0, 2**64 - 1, -(-count // 8), dtype=np.uint64, endpoint=True)
    drawn = words.view(np.uint8)[:count]
    kept = drawn > first
    undecided = np.flatnonzero(drawn == first)
    kept[undecided] = random.integers(0, 2**16, len(undecided), dtype=np.uint16) >= rest
    return kept.reshape(shape)
