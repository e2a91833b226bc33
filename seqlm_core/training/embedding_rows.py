"""Training of those rows of an embedding that a step reads, so that a step takes no longer with a larger vocabulary.

The rows are copied into a small embedding, which the graph of the step reads in place of the whole one. So the
gradients are small, and so are the states of the optimizer that change. After the update all is copied back. What the
optimizer would have done to a row while it was not read is made up for when it is read again.
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
from seqlm_core.training.missed_steps import MOST_STEPS, Coasting, MissedSteps
from seqlm_core.training.update_rules import UpdateRule

ROWS_AT_A_TIME = 4096
"""The number of rows that are brought up to date at a time, which limits the memory for it."""


class ReadRows(NamedTuple):
    """The rows that a step reads.

    Attributes:
        numbers: their numbers in the whole embedding, ``(rows,)``, each once.
        distinct: the same in an array of MXNet, int32 ``(1, rows)``.
        filled: the same, filled up to as many as the small embedding has, int32 ``(rows,)``.
    """

    numbers: np.ndarray
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
        self._missed = MissedSteps(embedding.vocabulary_size, Coasting(None))
        self._read: ReadRows | None = None

    @property
    def parameter(self) -> Any:
        """The parameter of the small embedding."""
        return self.input.weight

    def places_of(self, tokens: np.ndarray) -> tuple[ReadRows, np.ndarray]:
        """Return the rows of these tokens, and the place of each token in the small embedding, int32 of their shape."""
        distinct, places = np.unique(tokens, return_inverse=True)
        filled = np.resize(distinct, self.input.vocabulary_size)
        device = self.parameter.list_ctx()[0]
        rows = ReadRows(distinct, array_of(distinct[None], np.int32, device), array_of(filled, np.int32, device))
        return rows, places.reshape(tokens.shape).astype(np.int32)

    def read(self, rows: ReadRows) -> None:
        """Copy the rows that the next step reads, and their states, into the small embedding, up to date."""
        self._read = rows
        with autograd.pause():
            for whole, small in self._arrays:
                nd.take(whole, rows.filled, out=small)
            weights, *states = (small[: len(rows.numbers)] for _, small in self._arrays)
            self._missed.make_up(rows.numbers, weights, states)

    def add_states(
        self,
        whole: Sequence[Any],
        small: Sequence[Any],
        rule: UpdateRule | None = None,
        spec: OptimizerSpec | None = None,
    ) -> None:
        """Name the arrays of the optimizer's state for both embeddings, each of which has a row for each of theirs.

        Args:
            whole: the arrays for the whole embedding.
            small: those for the small one.
            rule: the rule by which rows that are not read change; None if they do not.
            spec: the record of the optimizer's plugin.

        Raises:
            PluginRuntimeError: an array is not of the shape of the weights; it is the error of the optimizer.
        """
        shape = self.whole.shape
        for array in whole:
            if spec is not None and array.shape != shape:
                raise plugin_failure(
                    spec, f"it is said to be elementwise, and the state of weights {shape} has the shape {array.shape}"
                )
        self._states = list(zip(whole, small))
        self._missed = MissedSteps(shape[0], Coasting(rule))

    def write_back(self, kept: float, learning_rate: float, step: int) -> None:
        """Copy weights and states of the rows that were read to where they came from, after an update.

        Args:
            kept: the share of the weights that weight decay has left.
            learning_rate: the learning rate.
            step: the number of steps done, this one included.
        """
        if self._read is None:
            raise RuntimeError("no rows have been read")
        numbers, places, _ = self._read
        for whole, small in self._arrays:
            changed = small[: len(numbers)]
            nd._internal._scatter_set_nd(lhs=whole, rhs=changed, indices=places, shape=whole.shape, out=whole)
        self._missed.add_step(numbers, kept, learning_rate, step)
        if self._missed.steps == MOST_STEPS:
            self.make_up()

    def make_up(self) -> None:
        """Bring all rows up to date."""
        for first in range(0, self.whole.shape[0], ROWS_AT_A_TIME):
            rows = slice(first, first + ROWS_AT_A_TIME)
            weights, *states = (whole[rows] for whole, _ in self._arrays)
            self._missed.make_up(rows, weights, states)
        self._missed.forget()

    def state(self) -> dict[str, np.ndarray]:
        """Return which steps the rows have missed, as arrays for :meth:`restore`."""
        return self._missed.state()

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self._missed.restore(state)

    @property
    def _arrays(self) -> list[tuple[Any, Any]]:
        """Weights and states of the whole embedding, each with that of the small one."""
        return [self._weights, *self._states]
