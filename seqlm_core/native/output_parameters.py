"""The weights of a language model's output layer, as generation takes them: each pair is a weight and a bias."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqlm_core.storage.quantization import Matrix, part

Pair = tuple[Matrix, np.ndarray]


class OutputParameters(NamedTuple):
    """Weights ``(outputs, inputs)``, as floats or with 8 bits, and biases ``(outputs,)``.

    Attributes:
        projection: between hidden vectors and all that follows; None if there is none.
        first: of all tokens or, of an adaptive softmax, of the shortlist's tokens and of each cluster.
        clusters: of each cluster its projection, or None, and its tokens.
    """

    projection: Pair | None
    first: Pair
    clusters: list[tuple[Pair | None, Pair]]

    @property
    def tokens(self) -> int:
        """The number of tokens in the vocabulary."""
        return len(self.first[1]) - len(self.clusters) + sum(len(of_tokens[1]) for _, of_tokens in self.clusters)

    def of_inputs(self, size: int) -> OutputParameters:
        """Return the same, but for the first numbers of the hidden vectors alone; the others are taken as 0.

        Args:
            size: how many there are.
        """
        if self.projection is not None:
            return self._replace(projection=_of_inputs(self.projection, size))
        clusters: list[tuple[Pair | None, Pair]] = [
            (None, _of_inputs(of_tokens, size)) if own is None else (_of_inputs(own, size), of_tokens)
            for own, of_tokens in self.clusters
        ]
        return OutputParameters(None, _of_inputs(self.first, size), clusters)


def _of_inputs(pair: Pair, size: int) -> Pair:
    weight, bias = pair
    return part(weight, columns=slice(size)), bias
