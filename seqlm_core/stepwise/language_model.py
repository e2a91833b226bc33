"""A language model in NumPy: its layers in each direction, and its output layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqlm_core.errors import RunError
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.stepwise.output_layer import OutputLayer
from seqlm_core.stepwise.token_layers import TokenLayers


class StepLanguageModel:
    """A language model computed with its cell's one-step NumPy function, in float64.

    The last digits of results depend on the number of rows, while generated texts must not. In float64 these digits
    are too small to matter.

    Args:
        architecture: the sizes of the model.
        cell: the cell, which must have a ``step``.
        options: the cell's options.
        weights: the model's parameters by name.

    Raises:
        RunError: a parameter is missing.

    Attributes:
        left: the layers that read from left to right.
        output: the output layer.
    """

    def __init__(
        self, architecture: LanguageArchitecture, cell: CellSpec, options: Any, weights: Mapping[str, np.ndarray]
    ) -> None:
        self.architecture = architecture
        weights = {name: array.astype(np.float64) for name, array in weights.items()}
        try:
            embedding = weights["input.weight"] if architecture.embedding_size else None
        except KeyError as error:
            raise RunError(f"the checkpoint has no parameter {error}") from error
        self.output = OutputLayer(architecture, weights)
        stacks = ["forward_stack", "backward_stack"] if architecture.bidirectional else ["forward_stack"]
        self.left, *self._right = (
            TokenLayers(stack, architecture, cell, options, weights, embedding) for stack in stacks
        )

    @property
    def right(self) -> TokenLayers:
        """The layers that read from right to left."""
        if not self._right:
            raise ValueError("the model reads from the left only")
        return self._right[0]

    def combined(self, left: np.ndarray, right: np.ndarray | None) -> np.ndarray:
        """Return what the output layer reads of hidden vectors ``(..., hidden)``; see ``LanguageNetwork.combine``."""
        if right is None:
            return left
        return left + right if self.architecture.adds_directions else np.concatenate([left, right], axis=-1)
