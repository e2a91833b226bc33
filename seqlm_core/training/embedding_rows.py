"""Training of those rows of an embedding that a step reads, so that a step takes no longer with a larger vocabulary.

The rows are copied into a small embedding, which the graph of the step reads in place of the whole one. So the
gradients are small, and so are the states of the optimizer that change. After the update all is copied back. A row that
is not read stays as it is: its weights, and its states, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import autograd, mx, nd
from seqlm_core.model.inputs import EmbeddingInput
from seqlm_core.plugins.foreign import plugin_failure
from seqlm_core.plugins.specs import OptimizerSpec

STEPS_BETWEEN_DECAYS = 100
"""The number of steps whose weight decay is applied to all rows at once."""


class ReadRows(NamedTuple):
    """The rows that a step reads.

    Attributes:
        distinct: their numbers in the whole embedding, int32 ``(1, rows)``.
        filled: the same, filled up to as many as the small embedding has, int32 ``(rows,)``.
    """

    distinct: Any
    filled: Any


class EmbeddingRows:
    """A large embedding, and the small one that is trained in its place.

    Args:
        embedding: the large one, initialized. It has no gradient from now on.
        most: the most tokens that a step reads.

    Attributes:
        whole: the parameter of the large embedding, ``(vocabulary, embedding)``.
        input: the small embedding, ``(rows, embedding)``, with as many rows as a step can read.
    """

    def __init__(self, embedding: EmbeddingInput, most: int) -> None:
        self.whole = embedding.weight
        self.whole.grad_req = "null"
        self.input = EmbeddingInput(min(most, embedding.vocabulary_size), embedding.size)
        self.input.cast(self.whole.dtype)
        self.input.initialize(mx.init.Zero(), ctx=self.whole.list_ctx())
        self._weights = self.whole.list_data()[0], self.parameter.list_data()[0]
        self._states: list[tuple[Any, Any]] = []
        self._read: ReadRows | None = None
        self._decay_due = 1.0

    @property
    def parameter(self) -> Any:
        """The parameter of the small embedding."""
        return self.input.weight

    def places_of(self, tokens: np.ndarray) -> tuple[ReadRows, np.ndarray]:
        """Return the rows of these tokens, and the place of each token in the small embedding, int32 of their shape."""
        distinct, places = np.unique(tokens, return_inverse=True)
        filled = np.resize(distinct, self.input.vocabulary_size)
        device = self.parameter.list_ctx()[0]
        rows = ReadRows(array_of(distinct[None], np.int32, device), array_of(filled, np.int32, device))
        return rows, places.reshape(tokens.shape).astype(np.int32)

    def read(self, rows: ReadRows) -> None:
        """Copy the rows that the next step reads into the small embedding."""
        self._read = rows
        with autograd.pause():
            self._copy_rows(*self._weights)

    def add_states(self, whole: Sequence[Any], small: Sequence[Any], spec: OptimizerSpec | None = None) -> None:
        """Name the arrays of the optimizer's state for both embeddings, each of which has a row for each of theirs.

        Raises:
            PluginRuntimeError: an array is not of the shape of the weights; it is the error of the optimizer ``spec``.
        """
        shape = self.whole.shape
        for array in whole:
            if spec is not None and array.shape != shape:
                raise plugin_failure(
                    spec, f"it is said to be elementwise, and the state of weights {shape} has the shape {array.shape}"
                )
        self._states = list(zip(whole, small))

    def read_states(self) -> None:
        """Copy the states of the rows that were read."""
        for pair in self._states:
            self._copy_rows(*pair)

    def write_back(self) -> None:
        """Copy weights and states of the rows that were read to where they came from."""
        rows = self._rows
        for whole, small in [self._weights, *self._states]:
            changed = small[: rows.distinct.shape[1]]
            nd._internal._scatter_set_nd(lhs=whole, rhs=changed, indices=rows.distinct, shape=whole.shape, out=whole)

    def decay(self, factor: float, step: int) -> None:
        """Multiply all rows by a factor: now or at the next multiple of :data:`STEPS_BETWEEN_DECAYS` steps.

        Args:
            factor: the factor.
            step: the number of steps done, this one included.
        """
        self._decay_due *= factor
        if step % STEPS_BETWEEN_DECAYS == 0:
            weights = self._weights[0]
            weights *= self._decay_due
            self._decay_due = 1.0

    def state(self) -> np.ndarray:
        """Return the factor by which all rows are still to be multiplied, for :meth:`restore`, float64 ``(1,)``."""
        return np.array([self._decay_due])

    def restore(self, state: np.ndarray) -> None:
        self._decay_due = float(state[0])

    @property
    def _rows(self) -> ReadRows:
        if self._read is None:
            raise RuntimeError("no rows have been read")
        return self._read

    def _copy_rows(self, whole: Any, small: Any) -> None:
        nd.take(whole, self._rows.filled, out=small)
