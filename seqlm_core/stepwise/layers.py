"""Recurrent layers in NumPy, made of their cell's step function, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seqlm_core.errors import SeqlmError
from seqlm_core.plugins.foreign import plugin_failure
from seqlm_core.plugins.specs import CellSpec, States

VECTORS_AT_A_TIME = 2048
"""About how many inputs are projected at a time, which limits the memory."""


class StepLayers:
    """Layers of one cell in one direction. The states of a layer are empty at the beginning.

    Args:
        cell: the cell, which must have a ``step``.
        options: the cell's options.
        layers: the parameters of each layer by name, float64, the lowest first.
    """

    def __init__(self, cell: CellSpec, options: Any, layers: Sequence[Mapping[str, np.ndarray]]) -> None:
        if cell.step is None:
            raise ValueError(f"cell {cell.name!r} has no step function")
        self.cell = cell
        self.options = options
        self.layers = layers

    def unroll(
        self, layer: int, inputs: np.ndarray, states: States = (), afresh: np.ndarray | None = None
    ) -> tuple[np.ndarray, States]:
        """Run one layer over time.

        Args:
            layer: the number of the layer.
            inputs: input vectors ``(time, rows, channels)``.
            states: its states.
            afresh: int32 ``(time, rows)``, 1 where the states are empty again before the time step, else 0; None if
                they are so nowhere.

        Returns:
            Outputs ``(time, rows, hidden)``, and the new states.
        """
        return self._run(layer, self._projected(layer, inputs), states, afresh, len(inputs))

    def unroll_projected(
        self, layer: int, projected: np.ndarray, states: States = (), afresh: np.ndarray | None = None
    ) -> tuple[np.ndarray, States]:
        """Do the same with inputs that ``project`` has returned for each time step."""
        return self._run(layer, iter(projected), states, afresh, len(projected))

    def _run(
        self, layer: int, inputs: Iterator[np.ndarray], states: States, afresh: np.ndarray | None, time: int
    ) -> tuple[np.ndarray, States]:
        step: Any = self.cell.step
        weights, options = self.layers[layer], self.options
        outputs: Any = None
        try:  # instead of plugin_code, which would take too long for every step
            for place, values in enumerate(inputs):
                before = states
                hidden, states = step(weights, values, before, options)
                if afresh is not None and before and afresh[place].any():
                    rows = np.flatnonzero(afresh[place])
                    own, own_states = step(weights, values[rows], (), options)
                    hidden = _with_rows(hidden, rows, own)
                    states = tuple(_with_rows(*arrays) for arrays in zip(states, [rows] * len(states), own_states))
                if outputs is None:
                    outputs = np.empty((time, *hidden.shape))
                outputs[place] = hidden
        except (SeqlmError, MemoryError):
            raise
        except Exception as error:
            raise plugin_failure(self.cell, error) from error
        return outputs, states

    def _projected(self, layer: int, inputs: np.ndarray) -> Iterator[np.ndarray]:
        """Yield what the step is given at each time step. Many time steps are projected together."""
        time, rows, channels = inputs.shape
        at_a_time = max(1, VECTORS_AT_A_TIME // max(1, rows))
        for first in range(0, time, at_a_time):
            some = inputs[first : first + at_a_time]
            if self.cell.project is not None:
                flat = self.cell.project(self.layers[layer], some.reshape(-1, channels), self.options)
                some = flat.reshape(len(some), rows, *flat.shape[1:])
            yield from some


def _with_rows(array: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return a copy of an array with other values in some rows."""
    changed = array.copy()
    changed[rows] = others
    return changed
