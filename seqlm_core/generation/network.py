"""What generation needs of a model: log-probabilities of the next token, one token after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from seqlm_core.architecture import Architecture
from seqlm_core.errors import RunError
from seqlm_core.numerics import log_softmax
from seqlm_core.specs import CellSpec, StepFunction


class NextTokenNetwork(Protocol):
    """A language model that reads tokens one by one and predicts the next, from left to right."""

    def begin(self, batch_size: int) -> Any:
        """Return the states at the beginning of a text."""

    def read(self, tokens: np.ndarray, states: Any) -> tuple[np.ndarray, Any]:
        """Read one token in each row.

        Args:
            tokens: ids ``(batch,)``.
            states: from :meth:`begin` or the last call.

        Returns:
            Log-probabilities of the next token in nats ``(batch, vocabulary)``, and the new states.
        """


class StepNetwork:
    """A language model computed with its cell's one-step NumPy function.

    Args:
        architecture: the sizes.
        cell: with a ``step``.
        options: of the cell.
        weights: the model's parameters by name.

    Raises:
        RunError: a parameter is missing.
    """

    def __init__(
        self, architecture: Architecture, cell: CellSpec, options: Any, weights: Mapping[str, np.ndarray]
    ) -> None:
        if cell.step is None:
            raise ValueError(f"cell {cell.name!r} has no step function")
        self._step: StepFunction = cell.step
        self._options = options
        self._vocabulary_size = architecture.vocabulary_size
        self._layers = [
            {name[len(prefix) :]: array for name, array in weights.items() if name.startswith(prefix)}
            for prefix in (f"forward_stack.{layer}." for layer in range(architecture.layers))
        ]
        try:
            self._embedding = weights["input.weight"] if architecture.embedding_size else None
            output = weights["input.weight" if architecture.tie_weights else "head.weight"]
            # The columns after these are for the backward direction, which has nothing to say here.
            self._output = output[:, : architecture.hidden_size].T.copy()
            self._bias = weights["head.bias"]
        except KeyError as error:
            raise RunError(f"the checkpoint has no parameter {error}") from error

    def begin(self, batch_size: int) -> Any:
        return [() for _ in self._layers]

    def read(self, tokens: np.ndarray, states: Any) -> tuple[np.ndarray, Any]:
        if self._embedding is None:
            values = np.zeros((len(tokens), self._vocabulary_size), self._bias.dtype)
            values[np.arange(len(tokens)), tokens] = 1
        else:
            values = self._embedding[tokens]
        after = []
        for weights, layer_states in zip(self._layers, states):
            values, new_states = self._step(weights, values, layer_states, self._options)
            after.append(new_states)
        return log_softmax(values @ self._output + self._bias), after
