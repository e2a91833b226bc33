"""The continuous cache of Grave et al. (2017): tokens of the text just read, each with the hidden vector before it."""

from __future__ import annotations

import numpy as np

from seqlm_core.engine.system import physical_memory
from seqlm_core.errors import SettingError

GIB = 2**30


class ContinuousCache:
    """Predicts that what came after a similar place of the text comes again.

    Where ``h[t]`` is the hidden vector that predicts token ``x[t + 1]``, the cache of the last ``size`` places gives

        p(w | h[t]) = (sum over i with x[i + 1] = w of e(i)) / (sum over i of e(i)),  e(i) = exp(flatness * h[t].h[i])

    with ``i`` from ``t - size`` to ``t - 1``.

    Args:
        size: the largest number of places that it keeps.
        flatness: what the products of hidden vectors are multiplied by.
        weight: the cache's share in each probability.
    """

    def __init__(self, size: int, flatness: float, weight: float) -> None:
        self.size = size
        self.flatness = flatness
        self.weight = weight
        self._hidden: np.ndarray | None = None
        self._targets = np.zeros(0, dtype=np.int64)

    def mix(self, losses: np.ndarray, hidden: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the losses of predictions by model and cache in nats ``(time,)``, and keep these places.

        Each prediction is made from the places before it, those of the same call included.

        Args:
            losses: losses of the model alone in nats, ``(time,)``.
            hidden: hidden vectors that the predictions are made from, ``(time, hidden)``.
            targets: ids of the tokens that are predicted, ``(time,)``.
        """
        kept = 0 if self._hidden is None else len(self._hidden)
        everything = hidden if self._hidden is None else np.concatenate([self._hidden, hidden])
        tokens = np.concatenate([self._targets, targets])
        scores = self.flatness * (hidden @ everything.T).astype(np.float64)
        # How many places ago each of them was, which is 0 for the place of the prediction itself.
        ago = kept + np.arange(len(hidden))[:, None] - np.arange(len(everything))
        scores[(ago < 1) | (ago > self.size)] = -np.inf
        highest = scores.max(axis=1, keepdims=True)
        shares = np.exp(scores - np.where(np.isfinite(highest), highest, 0))
        total = shares.sum(axis=1)
        found = np.where(tokens == targets[:, None], shares, 0).sum(axis=1)
        self._hidden, self._targets = everything[-self.size :], tokens[-self.size :]
        with np.errstate(divide="ignore"):  # a token that is not in the cache has the probability 0 there
            of_cache = np.log(self.weight * found / np.where(total > 0, total, 1))
        mixed = -np.logaddexp(np.log1p(-self.weight) - losses, of_cache)
        return np.where(total > 0, mixed, losses)


def check_memory(size: int, hidden_size: int, window: int) -> None:
    """Raise :class:`SettingError` if a cache of this size does not fit into the memory of the machine.

    Args:
        size: the number of places.
        hidden_size: the length of the hidden vectors.
        window: the number of predictions that are made at a time.
    """
    hidden_vectors = 2 * 4 * hidden_size  # old and new, in float32
    scores = 3 * 8 * window  # and what is made of them, in float64
    needed = size * (hidden_vectors + scores)
    there = physical_memory()
    if there is not None and needed > there:
        raise SettingError(
            "cache", f"of {size:,} tokens takes {needed / GIB:,.0f} GiB, and this machine has {there / GIB:,.0f} GiB"
        )
