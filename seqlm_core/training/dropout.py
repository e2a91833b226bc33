"""Dropout masks, which are drawn outside of the network so that they can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import make_array
from seqlm_core.model.recurrent_network import RecurrentNetwork


def dropout_masks(
    network: RecurrentNetwork, sizes: Sequence[int], rate: float, shape: tuple[int, int], random: np.random.Generator
) -> list[Any] | None:
    """Return a dropout mask ``(time, batch, size)`` for each size; None if the rate is 0.

    Args:
        network: the network; the masks have its device and type.
        sizes: the size of each mask.
        rate: the probability that an element is 0. The others are ``1 / (1 - rate)`` (inverted dropout).
        shape: numbers of time steps and of sequences.
        random: generator of the random numbers.
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
    """Return whether each element is kept, a bool array of this shape.

    An element is dropped with probability ``rate``, rounded down to a multiple of 1 / 2**24. A random byte decides; if
    it equals the first byte of the rate, two more bytes do.
    """
    first, rest = divmod(int(rate * 2**24), 2**16)
    count = int(np.prod(shape))
    # The generator makes whole words fastest, and lets other threads work meanwhile.
    words = random.integers(0, 2**64 - 1, -(-count // 8), dtype=np.uint64, endpoint=True)
    drawn = words.view(np.uint8)[:count]
    kept = drawn > first
    undecided = np.flatnonzero(drawn == first)
    kept[undecided] = random.integers(0, 2**16, len(undecided), dtype=np.uint16) >= rest
    return kept.reshape(shape)
