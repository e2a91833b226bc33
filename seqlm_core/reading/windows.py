"""Windows of a text for training: contiguous streams side by side, each cut into windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from seqlm_core.engine.randomness import generator
from seqlm_core.errors import TextError


@dataclasses.dataclass(frozen=True)
class WindowPlan:
    """How a text is cut for truncated backpropagation through time.

    Stream ``b`` is the ``b``-th stretch of ``sequence_length * windows`` tokens; its windows follow each other.
    An epoch begins at an offset drawn anew, so that no tail of the text is never seen.

    Attributes:
        tokens: tokens in the text.
        sequence_length: predictions in a window.
        batch_size: streams side by side.
    """

    tokens: int
    sequence_length: int
    batch_size: int

    @classmethod
    def fit(cls, tokens: int, sequence_length: int, batch_size: int, name: str = "the text") -> WindowPlan:
        """Return a plan with ``batch_size`` streams, or as many as the text, called ``name``, is long enough for.

        Raises:
            TextError: the text is shorter than one window.
        """
        most = (tokens - 1) // sequence_length
        if most < 1:
            raise TextError(
                f"{name} has {tokens} tokens to train on, fewer than the {sequence_length + 1} of one window; lower "
                "`sequence_length` or `validation_fraction`, or give more text"
            )
        return cls(tokens, sequence_length, min(batch_size, most))

    @property
    def windows(self) -> int:
        """Windows, and so training steps, in an epoch; the same in every epoch."""
        return (self.tokens - 1) // (self.batch_size * self.sequence_length)

    def offset(self, seed: int, epoch: int) -> int:
        """Return the first token of an epoch."""
        spare = self.tokens - 1 - self.batch_size * self.sequence_length * self.windows
        return int(generator(seed, epoch, "epoch offset").integers(spare + 1))

    def read(self, ids: np.ndarray, seed: int, epoch: int, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the windows of an epoch from window ``first`` on, int32 ``(sequence_length + 1, batch)``."""
        stream = self.sequence_length * self.windows
        starts = self.offset(seed, epoch) + stream * np.arange(self.batch_size)
        places = starts + np.arange(self.sequence_length + 1)[:, None]
        ids = np.asarray(ids)  # indexing a memory map itself takes longer
        for window in range(first, self.windows):
            yield ids[places + window * self.sequence_length]
