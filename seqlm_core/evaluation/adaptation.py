"""Dynamic evaluation: a model that learns from the text that it reads (Krause et al. 2018). It needs gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import autograd, nd, readable_failures
from seqlm_core.errors import SettingError
from seqlm_core.model.graphs import LeftLoss
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.model.language_network import LanguageNetwork
from seqlm_core.settings.reading_rules import ReadingRules

FLOOR_OF_GRADIENTS = 3e-4
"""Gradients that are smaller than this on average are divided by this, so that rare tokens make no huge steps."""


class AdaptingStream:
    """A :class:`~seqlm_core.evaluation.reading.OneStream` whose model learns from each window after predicting it.

    Args:
        network: a unidirectional network, with its weights, which are changed.
        rules: ``adapt`` is in force.
        has_documents: whether a token may be the last one of a document.
    """

    def __init__(self, network: LanguageNetwork, rules: ReadingRules, has_documents: bool = False) -> None:
        self._network = network
        self._has_documents = has_documents
        self._read = LeftLoss(network, rules.window)
        self._states = network.begin_state(1)
        self._rate = rules.adapt_learning_rate
        self._adaptation = _Adaptation(network, rules)

    @readable_failures()
    def read(self, tokens: np.ndarray, targets: np.ndarray, afresh: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
        """Read a window, and learn from it.

        Raises:
            SettingError: the losses are no numbers any more, since ``adapt_learning_rate`` is too high.
        """
        network = self._network
        ids, wanted, before = (
            array_of(array[:, None], np.int32, network.device) for array in (tokens, targets, afresh)
        )
        resets = [before, network.reset_states(1)] if self._has_documents else None
        with autograd.record(train_mode=network.reads_repeatably):
            losses, hidden, states = self._read(ids, wanted, self._states, resets)
        self._states = [[state.detach() for state in layer] for layer in states]
        nats = losses.asnumpy()[:count, 0].astype(np.float64)
        if not np.isfinite(nats).all():
            raise SettingError("adapt_learning_rate", f"is too high for this text: {self._rate}")
        self._adaptation.learn_from(losses)
        return nats, hidden.asnumpy()[:count, 0]


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
