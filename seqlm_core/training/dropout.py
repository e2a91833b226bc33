"""Dropout masks, which are drawn outside of the network so that they can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import make_array
from seqlm_core.engine.randomness import generator
from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.settings.dropout_rates import LOCKED, with_all_rates
from seqlm_core.settings.training_settings import SettingsT, TrainingSettings

ALL = slice(None)


class DropoutMasks:
    """Draws the dropout masks of a network's inputs and outputs for each step of a training.

    An element of a mask is 0, or ``1 / (1 - rate)`` (inverted dropout). Locked masks are the same at all time steps
    (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287).

    Args:
        network: the network; the masks have its device and type.
        sizes: the size of the mask of the input, and of each layer's outputs.
        settings: the settings, with all rates.
    """

    def __init__(self, network: RecurrentNetwork, sizes: Sequence[int], settings: TrainingSettings) -> None:
        self.network = network
        self.sizes = sizes
        self.seed = settings.seed
        self.is_locked = settings.dropout_masks == LOCKED
        self.embedding_rate = settings.embedding_dropout or 0.0
        between = [settings.layer_dropout or 0.0] * (len(sizes) - 2)
        self.rates = [settings.input_dropout or 0.0, *between, settings.output_dropout or 0.0]

    def draw(
        self,
        step: int,
        purpose: str,
        tokens: np.ndarray | None,
        shape: tuple[int, int],
        has_table: bool = False,
        part: slice = ALL,
    ) -> list[Any] | None:
        """Return the mask of all tokens' embeddings, that of the inputs and that of each layer; None without dropout.

        A mask without effect is None. That of the embeddings has the shape ``(vocabulary, embedding)``, all others
        ``(time, batch, size)``.

        Args:
            step: the step; the first step is 0.
            purpose: what the masks are for, such as ``forward dropout``. Masks for another purpose differ.
            tokens: ids of the tokens that are read, ``(time, batch)``; None if values are read.
            shape: numbers of time steps and of sequences, those of all workers.
            has_table: whether the network reads the embeddings of all tokens, if the inputs have no mask.
            part: the sequences whose masks are returned.
        """
        if not self.embedding_rate and not any(self.rates):
            return None
        random = generator(self.seed, step, purpose)
        kept = [
            self._draw(size, rate, shape, random)[:, part] if rate else None
            for size, rate in zip(self.sizes, self.rates)
        ]
        shape = shape[0], len(range(shape[1])[part])
        if not self.embedding_rate or tokens is None:
            return [None, *self._layer_masks(kept, shape)]
        read = self.network.input
        kept_tokens = draw_kept((read.vocabulary_size,), self.embedding_rate, random)
        scaled_tokens = kept_tokens * np.float32(1 / (1 - self.embedding_rate))
        if has_table and kept[0] is None and read.is_learnt:
            kept_elements, shape_of_table = kept_tokens[:, None], (read.vocabulary_size, read.size)
            of_tokens = self._array(kept_elements, self.embedding_rate, shape_of_table)
            return [of_tokens, *self._layer_masks(kept, shape)]
        return [
            None,
            self._input_mask(kept[0], scaled_tokens[tokens[:, part]], shape),
            *self._layer_masks(kept, shape)[1:],
        ]

    def _draw(self, size: int, rate: float, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
        """Return whether each element is kept, ``(time, batch, size)``, or ``(1, batch, size)`` if it is locked."""
        time, batch = shape
        return draw_kept((1 if self.is_locked else time, batch, size), rate, random)

    def _layer_masks(self, kept: list[np.ndarray | None], shape: tuple[int, int]) -> list[Any]:
        return [
            None if k is None else self._array(k, rate, (*shape, size))
            for k, size, rate in zip(kept, self.sizes, self.rates)
        ]

    def _input_mask(self, kept: np.ndarray | None, of_tokens: np.ndarray, shape: tuple[int, int]) -> Any:
        """Return the mask of inputs with dropped tokens; ``of_tokens (time, batch)`` scales each token's embedding."""

        def write(mask: np.ndarray) -> None:
            mask[:] = 1 if kept is None else kept * np.float32(1 / (1 - self.rates[0]))
            mask[:, :, : self.network.input.token_size] *= of_tokens[:, :, None]

        return make_array((*shape, self.sizes[0]), self.network.dtype, self.network.device, write)

    def _array(self, kept: np.ndarray, rate: float, shape: tuple[int, ...]) -> Any:
        return mask_array(kept, rate, shape, self.network.dtype, self.network.device)


def mask_array(kept: np.ndarray, rate: float, shape: tuple[int, ...], dtype: Any, device: Any) -> Any:
    """Return a mask: 0 where an element is not kept, else ``1 / (1 - rate)``; ``kept`` is broadcast to ``shape``."""
    scale = np.float32(1 / (1 - rate))

    def write(mask: np.ndarray) -> None:
        np.multiply(kept, scale, out=mask, casting="unsafe")

    return make_array(shape, dtype, device, write)


def with_rates_for(network: RecurrentNetwork, settings: SettingsT) -> SettingsT:
    """Return the settings with all rates of dropout.

    What the network does not have, and inputs that are not learnt, are dropped only if the settings say so.
    """
    left_alone = [] if network.recurrent_weights else ["recurrent_dropout"]
    if not network.input.is_learnt:
        left_alone.append("input_dropout")
    return with_all_rates(settings, left_alone)


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
