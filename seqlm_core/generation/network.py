"""The interface between generation and a language model, which reads token by token; and a NumPy implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.stepwise.language_model import StepLanguageModel
from seqlm_core.storage.quantization import Matrix, floats


class TextNetwork(Protocol):
    """A language model that reads one token in each of several rows at a time.

    It reads from left to right; a bidirectional one also reads from right to left. Tokens are ids ``(rows,)``. Hidden
    vectors are ``(rows, hidden)``, in a form that only the network itself needs to know.
    """

    bidirectional: bool

    def begin(self, rows: int) -> Any:
        """Return the forward states at the beginning of a text."""

    def read(self, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        """Read a token in each row from left to right; return hidden vectors and new states."""

    def begin_right(self, rows: int) -> Any:
        """Return the backward states at the end of a text."""

    def read_right(self, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        """Read a token in each row from right to left; return hidden vectors and new states."""

    def log_probabilities(self, left: Any, right: Any | None = None) -> np.ndarray:
        """Return the log-probabilities in nats ``(rows, vocabulary)`` of the token between two contexts.

        Args:
            left: hidden vectors after reading the text before the token, from left to right.
            right: hidden vectors after reading the text after the token, from right to left; None for a prediction
                from the left context alone.
        """

    def select(self, states: Any, rows: np.ndarray) -> Any:
        """Return the states, or the hidden vectors, of the rows with these numbers; a number may be repeated."""

    def choose(self, rows: np.ndarray, these: Any, others: Any) -> Any:
        """Return states or hidden vectors: ``these`` where ``rows``, bool ``(rows,)``, is true, else ``others``."""


class StepNetwork:
    """A language model computed with its cell's one-step NumPy function, in float64.

    Args:
        architecture: the sizes of the model.
        cell: the cell, which must have a ``step``.
        options: the cell's options.
        weights: the model's parameters by name, as floats or with 8 bits.

    Raises:
        RunError: a parameter is missing.
    """

    def __init__(
        self, architecture: LanguageArchitecture, cell: CellSpec, options: Any, weights: Mapping[str, Matrix]
    ) -> None:
        self.bidirectional = architecture.bidirectional
        numbers = {name: floats(weight) for name, weight in weights.items()}
        self._model = StepLanguageModel(architecture, cell, options, numbers)
        self._left = self._model.left

    def begin(self, rows: int) -> Any:
        return self._left.begin()

    def read(self, tokens: np.ndarray, states: Any) -> tuple[np.ndarray, Any]:
        return self._left.read(tokens, states)

    def begin_right(self, rows: int) -> Any:
        return self._model.right.begin()

    def read_right(self, tokens: np.ndarray, states: Any) -> tuple[np.ndarray, Any]:
        return self._model.right.read(tokens, states)

    def log_probabilities(self, left: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
        return self._model.output(self._model.combined(left, right))

    def select(self, states: Any, rows: np.ndarray) -> Any:
        if isinstance(states, np.ndarray):
            return states[rows]
        return [tuple(array[rows] for array in layer) for layer in states]

    def choose(self, rows: np.ndarray, these: Any, others: Any) -> Any:
        order = np.arange(len(rows)) + np.where(rows, 0, len(rows))
        if isinstance(these, np.ndarray):
            return np.concatenate([these, others])[order]
        return [tuple(np.concatenate(arrays)[order] for arrays in zip(*layers)) for layers in zip(these, others)]
