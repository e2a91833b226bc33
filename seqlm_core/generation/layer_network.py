"""The general way to the next token: the training network itself, for cells without a step function."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.model.graphs import NextToken
from seqlm_core.model.language_model import LanguageModel
from seqlm_core.mxnet import nd


class LayerNetwork:
    """A :class:`~seqlm_core.generation.network.NextTokenNetwork` that runs a language model's layers.

    Args:
        model: with its weights.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._next_token = NextToken(model)

    def begin(self, batch_size: int) -> Any:
        return self._model.begin_state(batch_size)

    def read(self, tokens: np.ndarray, states: Any) -> tuple[np.ndarray, Any]:
        ids = nd.array(tokens[None, :], ctx=self._model.device, dtype="int32")
        log_probabilities, states = self._next_token(ids, states)
        return log_probabilities[0].asnumpy(), states
