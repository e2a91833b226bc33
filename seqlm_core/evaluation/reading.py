"""Reading a text by reading rules: each token is predicted, and then learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from seqlm_core.evaluation.continuous_cache import ContinuousCache
from seqlm_core.model.window_network import WindowNetwork
from seqlm_core.settings.reading_rules import ReadingRules


class OneStream(Protocol):
    """A unidirectional model that reads a text in one stream."""

    def read(self, tokens: np.ndarray, targets: np.ndarray, afresh: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
        """Read a window, which follows the one before.

        Args:
            tokens: int32 ids ``(time,)``. All windows have the same number of them.
            targets: the tokens after each of them, ``(time,)``.
            afresh: int32 ``(time,)``, 1 where the states are reset before the token, else 0.
            count: how many predictions count; those after them come last.

        Returns:
            The losses of those in nats, float64 ``(count,)``, and the hidden vectors after their tokens.
        """


class TrainedStream:
    """A stream that a model reads as it was trained.

    Args:
        network: the model.
        has_documents: whether a token may be the last one of a document.
    """

    def __init__(self, network: WindowNetwork, has_documents: bool = False) -> None:
        self._network = network
        self._has_documents = has_documents
        self._states = network.begin(1)

    def read(self, tokens: np.ndarray, targets: np.ndarray, afresh: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
        network = self._network
        with network.computing():
            own = afresh[:, None] if self._has_documents else None
            hidden, self._states = network.read(tokens[:, None], self._states, own)
            losses = network.losses(targets[:, None], hidden)
            return losses[:count, 0].astype(np.float64), network.vectors(hidden)[:count, 0]


class RuledReading:
    """Reads a text in one stream, predicts each token from those before it alone, and takes from it what rules say.

    Args:
        stream: reads the text. It may learn from what it has read.
        rules: at least one of ``adapt`` and ``cache`` is in force.
    """

    def __init__(self, stream: OneStream, rules: ReadingRules) -> None:
        self._stream = stream
        self._length = rules.window
        self._cache = ContinuousCache(rules.cache, rules.cache_flatness, rules.cache_weight) if rules.cache else None

    def losses(self, tokens: Iterable[tuple[int, bool]]) -> Iterator[np.ndarray]:
        """Yield the losses of the tokens of a text but the first, in nats; some tokens at a time, float64 ``(time,)``.

        Args:
            tokens: the id of each token of the text, and whether the token is the last one of a document. The states
                are reset there. What was learnt from the text, and the cache, stay.

        Raises:
            SettingError: the losses are no numbers any more, since ``adapt_learning_rate`` is too high.
        """
        return map(self._losses, _windows(tokens, self._length))

    def _losses(self, columns: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        window, ends = columns
        count = len(window) - 1
        # Only the last window is shorter. What is added to it stands behind all that counts.
        padded = np.concatenate([window, np.repeat(window[-1:], self._length - count)])
        afresh = np.concatenate([ends[:-1], np.zeros(self._length - count, dtype=np.int32)])
        nats, hidden = self._stream.read(padded[:-1], padded[1:], afresh, count)
        return nats if self._cache is None else self._cache.mix(nats, hidden, window[1:])


def _windows(tokens: Iterable[tuple[int, bool]], length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield windows of ``length + 1`` tokens, each from the last one of the one before on; the last may be shorter.

    They are ids, and 1 where the token ends a document, else 0.
    """
    window: list[tuple[int, bool]] = []
    for token in tokens:
        window.append(token)
        if len(window) > length:
            yield _columns(window)
            window = window[-1:]
    if len(window) > 1:
        yield _columns(window)


def _columns(window: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    ids, ends = zip(*window)
    return np.array(ids, dtype=np.int32), np.array(ends, dtype=np.int32)
