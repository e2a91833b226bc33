"""A language model that reads windows in NumPy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqlm_core.errors import SeqlmError
from seqlm_core.stepwise.language_model import StepLanguageModel


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Turn lack of memory within the block into an error of one line."""
    try:
        yield
    except MemoryError as error:
        raise SeqlmError("there is not enough memory for a model of this size") from error


class StepWindows:
    """A :class:`~seqlm_core.model.window_network.WindowNetwork` computed with its cell's step function, in float64.

    Args:
        model: the model.
    """

    def __init__(self, model: StepLanguageModel) -> None:
        self.architecture = model.architecture
        self._model = model

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        return enough_memory()

    def begin(self, rows: int) -> Any:
        return self._model.left.begin()

    def begin_right(self, rows: int) -> Any:
        return self._model.right.begin()

    def read(self, tokens: np.ndarray, states: Any, afresh: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        return self._model.left.read_window(tokens, states, afresh)

    def read_right(self, tokens: np.ndarray, states: Any, afresh: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        return self._model.right.read_window(tokens, states, afresh)

    def losses(self, targets: np.ndarray, left: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
        hidden = self._model.combined(left, right)
        flat = hidden.reshape(-1, hidden.shape[-1])
        return -self._model.output.of_targets(flat, targets.ravel()).reshape(targets.shape)

    def vectors(self, hidden: np.ndarray) -> np.ndarray:
        return hidden
