"""A language model made of an architecture, a cell and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqlm_core.architecture import Architecture
from seqlm_core.errors import PluginError, RunError
from seqlm_core.model.graphs import LeftReading
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.model.language_model import LanguageModel
from seqlm_core.mxnet import gluon, mx, nd
from seqlm_core.specs import CellSpec


def build_model(architecture: Architecture, cell: CellSpec, options: Any) -> LanguageModel:
    """Return a language model whose parameters have no values yet.

    Raises:
        PluginError: the cell does not build a layer.
    """

    def build_layer(input_size: int, hidden_size: int) -> gluon.HybridBlock:
        try:
            layer = cell.build(input_size, hidden_size, options)
        except Exception as error:
            raise PluginError(f"cell {cell.name!r} cannot be built: {type(error).__name__}: {error}") from error
        if not isinstance(layer, gluon.HybridBlock):
            raise PluginError(f"cell {cell.name!r} built a {type(layer).__name__}, not a gluon HybridBlock")
        return layer

    return LanguageModel(architecture, build_layer)


def check_cell_works(model: LanguageModel, cell: CellSpec) -> None:
    """Read two tokens with an initialized model, so that a faulty cell is found out before a training begins.

    Raises:
        PluginError: the layers fail, or return something of another shape.
    """
    tokens = nd.zeros((2, 2), ctx=model.device, dtype="int32")
    try:
        hidden, states = LeftReading(model, 2)(tokens, model.begin_state(2))
        hidden.wait_to_read()
    except Exception as error:
        last_line = ["", *str(error).strip().splitlines()][-1]
        raise PluginError(f"cell {cell.name!r} does not work: {type(error).__name__}: {last_line}") from error
    wanted = (2, 2, model.architecture.hidden_size)
    if hidden.shape != wanted:
        raise PluginError(f"cell {cell.name!r} returns outputs of shape {hidden.shape} instead of {wanted}")
    for before, after in zip(model.begin_state(2), states):
        if [state.shape for state in before] != [state.shape for state in after]:
            raise PluginError(f"cell {cell.name!r} returns states of other shapes than it begins with")


def load_weights(model: LanguageModel, weights: Mapping[str, np.ndarray], device: mx.Context) -> None:
    """Give the model's parameters the values of a checkpoint.

    Raises:
        RunError: names or shapes are not those of the model.
    """
    parameters = unique_parameters(model)
    if set(parameters) != set(weights):
        different = sorted(set(parameters) ^ set(weights))
        raise RunError(f"the checkpoint is not one of this model: only one of them has {different[0]!r}")
    for name, parameter in parameters.items():
        if tuple(parameter.shape) != weights[name].shape:
            raise RunError(
                f"the checkpoint's {name!r} has shape {weights[name].shape}, and the model's {parameter.shape}"
            )
        parameter.initialize(init=mx.init.Zero(), ctx=device, force_reinit=True)
        parameter.set_data(nd.array(weights[name], ctx=device, dtype=weights[name].dtype))


def weights_of(model: LanguageModel) -> dict[str, np.ndarray]:
    """Return the model's parameters as arrays by name."""
    return {name: parameter.list_data()[0].asnumpy() for name, parameter in unique_parameters(model).items()}
