"""The interface between generation and a language model, which reads token by token; and a NumPy implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from seqlm_core.errors import RunError, SeqlmError
from seqlm_core.generation.output_layer import OutputLayer
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.native.generation import LARGEST_TABLE
from seqlm_core.plugins.foreign import plugin_code, plugin_failure
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.storage.checkpoint import select
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

    The last digits of results depend on the number of rows, while generated texts must not. In float64 these digits
    are too small to matter.

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
        if cell.step is None:
            raise ValueError(f"cell {cell.name!r} has no step function")
        self.bidirectional = architecture.bidirectional
        self._adds_directions = architecture.adds_directions
        numbers = {name: floats(weight).astype(np.float64) for name, weight in weights.items()}
        try:
            embedding = numbers["input.weight"] if architecture.embedding_size else None
        except KeyError as error:
            raise RunError(f"the checkpoint has no parameter {error}") from error
        self._output = OutputLayer(architecture, numbers)
        self._left = _Stack("forward_stack", architecture, cell, options, numbers, embedding)
        self._right = (
            _Stack("backward_stack", architecture, cell, options, numbers, embedding) if self.bidirectional else None
        )

    def begin(self, rows: int) -> Any:
        return self._left.begin()

    def read(self, tokens: np.ndarray, states: Any) -> tuple[np.ndarray, Any]:
        return self._left.read(tokens, states)

    def begin_right(self, rows: int) -> Any:
        return self._backward.begin()

    def read_right(self, tokens: np.ndarray, states: Any) -> tuple[np.ndarray, Any]:
        return self._backward.read(tokens, states)

    def log_probabilities(self, left: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
        hidden = left
        if right is not None:
            hidden = left + right if self._adds_directions else np.concatenate([left, right], axis=1)
        return self._output(hidden)

    def select(self, states: Any, rows: np.ndarray) -> Any:
        if isinstance(states, np.ndarray):
            return states[rows]
        return [tuple(array[rows] for array in layer) for layer in states]

    def choose(self, rows: np.ndarray, these: Any, others: Any) -> Any:
        order = np.arange(len(rows)) + np.where(rows, 0, len(rows))
        if isinstance(these, np.ndarray):
            return np.concatenate([these, others])[order]
        return [tuple(np.concatenate(arrays)[order] for arrays in zip(*layers)) for layers in zip(these, others)]

    @property
    def _backward(self) -> _Stack:
        if self._right is None:
            raise ValueError("the model reads from the left only")
        return self._right


class _Stack:
    """The layers of one direction."""

    def __init__(
        self,
        name: str,
        architecture: LanguageArchitecture,
        cell: CellSpec,
        options: Any,
        weights: Mapping[str, np.ndarray],
        embedding: np.ndarray | None,
    ) -> None:
        self._cell = cell
        self._options = options
        self._vocabulary_size = architecture.vocabulary_size
        self._embedding = embedding
        self._layers = [select(weights, f"{name}.{layer}.") for layer in range(architecture.layers)]
        self._table: np.ndarray | None = None
        if cell.project is not None:
            with plugin_code(cell):
                row = cell.project(self._layers[0], self._inputs(np.zeros(1, dtype=np.int64)), options)
                if row.size * self._vocabulary_size <= LARGEST_TABLE:
                    everything = self._inputs(np.arange(self._vocabulary_size))
                    self._table = cell.project(self._layers[0], everything, options)

    def begin(self) -> list[tuple[np.ndarray, ...]]:
        return [() for _ in self._layers]

    def read(self, tokens: np.ndarray, states: Any) -> tuple[np.ndarray, Any]:
        step, project, options = self._cell.step, self._cell.project, self._options
        after = []
        values = self._inputs(tokens) if self._table is None else self._table[tokens]
        try:  # instead of plugin_code, which would take too long for every token
            for layer, (weights, before) in enumerate(zip(self._layers, states)):
                if project is not None and (layer or self._table is None):
                    values = project(weights, values, options)
                values, new = step(weights, values, before, options)  # type: ignore[misc]
                after.append(new)
        except (SeqlmError, MemoryError):
            raise
        except Exception as error:
            raise plugin_failure(self._cell, error) from error
        return values, after

    def _inputs(self, tokens: np.ndarray) -> np.ndarray:
        if self._embedding is not None:
            return self._embedding[tokens]
        one_hot = np.zeros((len(tokens), self._vocabulary_size))
        one_hot[np.arange(len(tokens)), tokens] = 1
        return one_hot
