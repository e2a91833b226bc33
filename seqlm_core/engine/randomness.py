"""Random numbers as a pure function of (seed, step, purpose), so that a resumed run repeats them exactly."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence


def generator(seed: int, step: int, purpose: str) -> np.random.Generator:
    """Return the random number generator for one purpose at one step of a run.

    Philox is counter-based (Salmon et al. 2011). The key is made of the seed and the purpose. Each step begins at its
    own value of the counter, 2**192 blocks from that of the next step.
    """
    key: Any = _Key([seed, number_of(purpose)])
    return np.random.Generator(np.random.Philox(key).advance(step << 192))


def number_of(purpose: str) -> int:
    """Return the half of the key that stands for a purpose, below 2**64."""
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")


class _Key(ISeedSequence):
    """Gives a key to Philox unchanged. Any other way takes twice as long, since Philox then gathers unused entropy."""

    def __init__(self, words: list[int]) -> None:
        self._words = np.array(words, dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self._words


def mxnet_seed(seed: int, step: int, purpose: str) -> int:
    """Return a seed for ``mxnet.random.seed``, below 2**31."""
    return int(generator(seed, step, purpose).integers(2**31))
