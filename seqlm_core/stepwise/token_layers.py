"""Layers in NumPy that read the token ids of a language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqlm_core.errors import SeqlmError
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.native.generation import LARGEST_TABLE
from seqlm_core.plugins.foreign import plugin_code, plugin_failure
from seqlm_core.plugins.specs import CellSpec, States
from seqlm_core.stepwise.layers import VECTORS_AT_A_TIME, StepLayers
from seqlm_core.storage.checkpoint import select

StatesOfLayers = list[States]


class TokenLayers(StepLayers):
    """The layers of one direction of a language model.

    What the lowest layer projects of each token is computed once, if it is not too much.

    Args:
        name: the name of the direction's stack.
        architecture: the sizes of the model.
        cell: the cell, which must have a ``step``.
        options: the cell's options.
        weights: the model's parameters by name, float64.
        embedding: the embeddings; None if tokens are read one-hot.
    """

    def __init__(
        self,
        name: str,
        architecture: LanguageArchitecture,
        cell: CellSpec,
        options: Any,
        weights: Mapping[str, np.ndarray],
        embedding: np.ndarray | None,
    ) -> None:
        super().__init__(cell, options, [select(weights, f"{name}.{layer}.") for layer in range(architecture.layers)])
        self._vocabulary_size = architecture.vocabulary_size
        self._embedding = embedding
        self._table: np.ndarray | None = None
        if cell.project is not None:
            with plugin_code(cell):
                row = cell.project(self.layers[0], self._inputs(np.zeros(1, dtype=np.int64)), options)
                if row.size * self._vocabulary_size <= LARGEST_TABLE:
                    everything = self._inputs(np.arange(self._vocabulary_size))
                    self._table = cell.project(self.layers[0], everything, options)

    def begin(self) -> StatesOfLayers:
        """Return the states at the beginning."""
        return [() for _ in self.layers]

    def read(self, tokens: np.ndarray, states: StatesOfLayers) -> tuple[np.ndarray, StatesOfLayers]:
        """Read one token in each row, ``(rows,)``; return hidden vectors ``(rows, hidden)`` and new states."""
        step, project, options = self.cell.step, self.cell.project, self.options
        after = []
        values = self._inputs(tokens) if self._table is None else self._table[tokens]
        try:  # instead of plugin_code, which would take too long for every token
            for layer, (weights, before) in enumerate(zip(self.layers, states)):
                if project is not None and (layer or self._table is None):
                    values = project(weights, values, options)
                values, new = step(weights, values, before, options)  # type: ignore[misc]
                after.append(new)
        except (SeqlmError, MemoryError):
            raise
        except Exception as error:
            raise plugin_failure(self.cell, error) from error
        return values, after

    def read_window(
        self, tokens: np.ndarray, states: StatesOfLayers, afresh: np.ndarray | None = None
    ) -> tuple[np.ndarray, StatesOfLayers]:
        """Read tokens ``(time, rows)``; return hidden vectors ``(time, rows, hidden)`` and new states.

        For ``afresh`` see :meth:`~seqlm_core.stepwise.layers.StepLayers.unroll`.
        """
        at_a_time = max(1, VECTORS_AT_A_TIME // tokens.shape[1])
        parts = []
        for first in range(0, len(tokens), at_a_time):
            some = slice(first, first + at_a_time)
            own = None if afresh is None else afresh[some]
            values, states = self._read_part(tokens[some], states, own)
            parts.append(values)
        return np.concatenate(parts), states

    def _read_part(
        self, tokens: np.ndarray, states: StatesOfLayers, afresh: np.ndarray | None
    ) -> tuple[np.ndarray, StatesOfLayers]:
        after: StatesOfLayers = []
        values = np.zeros(0)
        for layer, before in enumerate(states):
            if layer:
                values, new = self.unroll(layer, values, before, afresh)
            elif self._table is not None:
                values, new = self.unroll_projected(0, self._table[tokens], before, afresh)
            else:
                values, new = self.unroll(0, self._inputs(tokens), before, afresh)
            after.append(new)
        return values, after

    def _inputs(self, tokens: np.ndarray) -> Any:
        if self._embedding is not None:
            return self._embedding[tokens]
        one_hot = np.zeros((*tokens.shape, self._vocabulary_size))
        np.put_along_axis(one_hot, tokens[..., None], 1, axis=-1)
        return one_hot
