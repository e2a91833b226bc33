"""The output layer of a language model in NumPy: what the heads of :mod:`seqlm_core.model` compute."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqlm_core.engine.numerics import log_softmax
from seqlm_core.errors import RunError
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.output_parameters import output_parameters
from seqlm_core.storage.quantization import Matrix, floats

SCORES_AT_A_TIME = 1 << 22
"""About how many scores of tokens are in memory at a time."""


class Affine:
    """A linear projection. Of its inputs, the last may be missing: those of a context that is not there.

    Args:
        weight: ``(outputs, inputs)``.
        bias: ``(outputs,)``.
    """

    def __init__(self, weight: Matrix, bias: np.ndarray) -> None:
        self._weight = np.ascontiguousarray(floats(weight).T)
        self._bias = bias
        self.outputs = len(bias)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return inputs @ self._weight[: inputs.shape[1]] + self._bias


class OutputLayer:
    """Turns hidden vectors into log-probabilities.

    Args:
        architecture: the sizes of the model.
        weights: the model's parameters by name.

    Raises:
        RunError: a parameter is missing.
    """

    def __init__(self, architecture: LanguageArchitecture, weights: Mapping[str, np.ndarray]) -> None:
        try:
            parts = output_parameters(architecture, weights)
        except KeyError as error:
            raise RunError(f"the checkpoint has no parameter {error}") from error
        self._projection = None if parts.projection is None else Affine(*parts.projection)
        self._first = Affine(*parts.first)
        self._clusters = [
            (None if projection is None else Affine(*projection), Affine(*of_tokens))
            for projection, of_tokens in parts.clusters
        ]

    def __call__(self, hidden: np.ndarray) -> np.ndarray:
        """Return log-probabilities in nats ``(rows, vocabulary)`` for hidden vectors ``(rows, hidden)``."""
        if self._projection is not None:
            hidden = self._projection(hidden)
        first = log_softmax(self._first(hidden))
        if not self._clusters:
            return first
        shortlist = first.shape[1] - len(self._clusters)
        parts = [first[:, :shortlist]]
        for number, (projection, of_tokens) in enumerate(self._clusters, start=shortlist):
            inputs = hidden if projection is None else projection(hidden)
            parts.append(first[:, number : number + 1] + log_softmax(of_tokens(inputs)))
        return np.concatenate(parts, axis=1)

    def of_targets(self, hidden: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the log-probabilities in nats ``(rows,)`` of one token for each row of hidden vectors.

        Args:
            hidden: hidden vectors ``(rows, hidden)``.
            targets: the ids of the tokens, ``(rows,)``.
        """
        if self._projection is not None:
            hidden = self._projection(hidden)
        found = np.empty(len(hidden))
        at_a_time = max(1, SCORES_AT_A_TIME // self._first.outputs)
        for start in range(0, len(hidden), at_a_time):
            some = slice(start, start + at_a_time)
            found[some] = self._of_targets(hidden[some], targets[some])
        return found

    def _of_targets(self, hidden: np.ndarray, targets: np.ndarray) -> np.ndarray:
        first = log_softmax(self._first(hidden))
        shortlist = first.shape[1] - len(self._clusters)
        begin = shortlist  # the id of the first token of a cluster
        found = first[np.arange(len(hidden)), np.minimum(targets, shortlist - 1)]
        for number, (projection, of_tokens) in enumerate(self._clusters):
            rows = np.flatnonzero((targets >= begin) & (targets < begin + of_tokens.outputs))
            if len(rows):
                inputs = hidden[rows] if projection is None else projection(hidden[rows])
                within = log_softmax(of_tokens(inputs))[np.arange(len(rows)), targets[rows] - begin]
                found[rows] = first[rows, shortlist + number] + within
            begin += of_tokens.outputs
        return found
