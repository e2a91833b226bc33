"""The network of a cell with a step function, which draws with the native library where there is one."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from seqlm_core.errors import PluginError
from seqlm_core.generation.network import StepNetwork
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.output_parameters import output_parameters
from seqlm_core.native.generation import NativeModel, generation_library
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.storage.quantization import Matrix


def step_network(
    architecture: LanguageArchitecture, cell: CellSpec, options: Any, weights: Mapping[str, Matrix]
) -> StepNetwork:
    """Return the fastest network for a cell with a step function.

    Args:
        architecture: the sizes of the model.
        cell: the cell, which must have a ``step``.
        options: the cell's options.
        weights: the model's parameters by name, as floats or with 8 bits.

    Raises:
        RunError: a parameter is missing.
        PluginError: the cell names a native formula that does not fit its layers.
    """
    library, formula = generation_library(), cell.native_formula(options)
    if library is None or formula is None:
        return StepNetwork(architecture, cell, options, weights)
    return NativeNetwork(architecture, cell, options, weights, library, formula)


class NativeNetwork(StepNetwork):
    """A step network that draws with the native library; all else it computes step by step.

    Args:
        architecture: the sizes of the model.
        cell: the cell, which must have a ``step``.
        options: the cell's options.
        weights: the model's parameters by name, as floats or with 8 bits.
        library: the native library for generation.
        formula: the native formula that computes the cell's layers.
        instruction_set: see :class:`~seqlm_core.native.generation.NativeModel`.

    Raises:
        RunError: a parameter is missing.
        PluginError: the formula does not fit the cell's layers.
    """

    def __init__(
        self,
        architecture: LanguageArchitecture,
        cell: CellSpec,
        options: Any,
        weights: Mapping[str, Matrix],
        library: ctypes.CDLL,
        formula: str,
        instruction_set: str | None = None,
    ) -> None:
        super().__init__(architecture, cell, options, weights)
        prefixes = [f"forward_stack.{layer}." for layer in range(architecture.layers)]
        embedding = weights["input.weight"] if architecture.embedding_size else None
        # In a bidirectional model, the other columns are for the backward direction.
        output = output_parameters(architecture, weights).of_inputs(architecture.hidden_sizes[-1])
        try:
            self.native = NativeModel(
                library,
                formula,
                architecture.hidden_sizes,
                [{k[len(p) :]: array for k, array in weights.items() if k.startswith(p)} for p in prefixes],
                output,
                embedding,
                instruction_set,
            )
        except ValueError as error:
            raise PluginError(f"cell {cell.name!r}: the native formula {formula} does not fit it: {error}") from error
