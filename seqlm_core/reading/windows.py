"""Windows of a text for training: the text is cut into streams side by side, and each stream into windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from seqlm_core.engine.randomness import generator
from seqlm_core.errors import TextError
from seqlm_core.reading.tokenized_text import TokenIds


@dataclasses.dataclass(frozen=True)
class WindowPlan:
    """How a text is cut for truncated backpropagation through time.

    Stream ``b`` is the ``b``-th stretch of ``sequence_length * windows`` tokens, and its windows follow each other. A
    new offset is drawn for each epoch, so that the tokens that are left over at the end are read in other epochs.

    Attributes:
        tokens: the number of tokens in the text.
        sequence_length: the number of predictions in a window.
        batch_size: the number of streams.
    """

    tokens: int
    sequence_length: int
    batch_size: int

    @classmethod
    def fit(cls, tokens: int, sequence_length: int, batch_size: int, name: str = "the text") -> WindowPlan:
        """Return a plan with ``batch_size`` streams, or with fewer if the text is too short. Messages call it ``name``.

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
        """The number of windows, and so of training steps, in every epoch."""
        return (self.tokens - 1) // (self.batch_size * self.sequence_length)

    def offset(self, seed: int, epoch: int) -> int:
        """Return the position of the first token of an epoch."""
        spare = self.tokens - 1 - self.batch_size * self.sequence_length * self.windows
        return int(generator(seed, epoch, "epoch offset").integers(spare + 1))

    def read(self, of_tokens: np.ndarray | TokenIds, seed: int, epoch: int, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the windows of an epoch, ``(sequence_length + 1, batch)``.

        Args:
            of_tokens: the ids of the text's tokens, or whatever there is one of for each token.
            seed: the seed of the training.
            epoch: the number of the epoch.
            first: the number of the window to begin with.
        """
        stream = self.sequence_length * self.windows
        starts = self.offset(seed, epoch) + stream * np.arange(self.batch_size)
        places = starts + np.arange(self.sequence_length + 1)[:, None]
        for window in range(first, self.windows):
            yield of_tokens[places + window * self.sequence_length]
