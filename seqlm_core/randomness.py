"""Random numbers as a pure function of (seed, step, purpose), so that a resumed run repeats them exactly."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, step: int, purpose: str) -> np.random.Generator:
    """Return the generator for one purpose at one step of a run.

    Philox is counter-based (Salmon et al. 2011): the key is made of seed and purpose, and each step begins at a
    counter of its own, 2**192 blocks from the next.
    """
    digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    key = np.array([seed, int.from_bytes(digest, "little")], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, step], dtype=np.uint64)))


def mxnet_seed(seed: int, step: int, purpose: str) -> int:
    """Return a seed for ``mxnet.random.seed``, below 2**31."""
    return int(generator(seed, step, purpose).integers(2**31))
