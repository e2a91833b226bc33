"""Reading a text by reading rules: each token is predicted, and then learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import autograd, nd, readable_failures
from seqlm_core.errors import SettingError
from seqlm_core.evaluation.continuous_cache import ContinuousCache
from seqlm_core.model.graphs import LeftLoss
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.model.language_network import LanguageNetwork
from seqlm_core.settings.reading_rules import ReadingRules

FLOOR_OF_GRADIENTS = 3e-4
"""Gradients that are smaller than this on average are divided by this, so that rare tokens make no huge steps."""


class RuledReading:
    """Reads a text in one stream, predicts each token from those before it alone, and takes from it what rules say.

    Args:
        network: a unidirectional network, with its weights. With ``adapt`` they are changed.
        rules: at least one of ``adapt`` and ``cache`` is in force.
        has_documents: whether a token may be the last one of a document.
    """

    def __init__(self, network: LanguageNetwork, rules: ReadingRules, has_documents: bool = False) -> None:
        self._network = network
        self._has_documents = has_documents
        self._length = rules.window
        self._read = LeftLoss(network, self._length)
        self._states = network.begin_state(1)
        self._rate = rules.adapt_learning_rate
        self._adaptation = _Adaptation(network, rules) if rules.adapt else None
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

    @readable_failures()
    def _losses(self, columns: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        window, ends = columns
        count = len(window) - 1
        # Only the last window is shorter. What is added to it stands behind all that counts.
        padded = np.concatenate([window, np.repeat(window[-1:], self._length - count)])
        tokens, targets = (
            array_of(part[:, None], np.int32, self._network.device) for part in (padded[:-1], padded[1:])
        )
        resets = None
        if self._has_documents:
            before = np.concatenate([ends[:-1], np.zeros(self._length - count, dtype=np.int32)])
            resets = [array_of(before[:, None], np.int32, self._network.device), self._network.reset_states(1)]
        recording = autograd.record(train_mode=self._network.reads_repeatably)
        with recording if self._adaptation else self._network.repeatable():
            losses, hidden, states = self._read(tokens, targets, self._states, resets)
        self._states = [[state.detach() for state in layer] for layer in states]
        nats = losses.asnumpy()[:count, 0].astype(np.float64)
        if self._adaptation is not None:
            if not np.isfinite(nats).all():
                raise SettingError("adapt_learning_rate", f"is too high for this text: {self._rate}")
            self._adaptation.learn_from(losses)
        return nats if self._cache is None else self._cache.mix(nats, hidden.asnumpy()[:count, 0], window[1:])


class _Adaptation:
    """Gradient descent on the losses of a text, which decays towards the weights that the network has had.

    Each element of the gradient is divided by the root of its mean square. Krause et al. take this mean over the
    training text, which a run does not have; here it is that over the text so far.
    """

    def __init__(self, network: LanguageNetwork, rules: ReadingRules) -> None:
        self._rate = rules.adapt_learning_rate
        self._decay = rules.adapt_decay
        parameters = list(unique_parameters(network).values())
        self._weights = [parameter.list_data()[0] for parameter in parameters]
        self._gradients = [parameter.list_grad()[0] for parameter in parameters]
        self._mean_squares = [nd.zeros_like(weight) for weight in self._weights]
        self._pulls = [weight * self._decay for weight in self._weights]
        self._steps = 0

    def learn_from(self, losses: Any) -> None:
        """Take a step along the gradient of the mean of these losses, which were recorded."""
        losses.backward()
        self._steps += 1
        for weight, gradient, mean_square, pull in zip(self._weights, self._gradients, self._mean_squares, self._pulls):
            # weight - rate * gradient / sqrt(mean square + floor ** 2)
            nd.rmsprop_update(
                weight,
                gradient,
                mean_square,
                lr=self._rate,
                gamma1=1 - 1 / self._steps,  # so that the mean is over all steps
                epsilon=FLOOR_OF_GRADIENTS**2,
                rescale_grad=1 / losses.size,
                out=weight,
            )
            if self._decay:
                weight *= 1 - self._decay
                nd.elemwise_add(weight, pull, out=weight)


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
