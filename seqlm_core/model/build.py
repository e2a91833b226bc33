"""Building networks from an architecture and plugins, and giving them weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

import numpy as np

from seqlm_core.engine.mxnet import gluon, mx, nd
from seqlm_core.errors import PluginError, RunError, SeqlmError, one_line
from seqlm_core.model.architecture import LanguageArchitecture, SequenceArchitecture
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.model.language_network import LanguageNetwork
from seqlm_core.model.parameters import check_shapes
from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.model.sequence_network import SequenceNetwork
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.foreign import plugin_code, plugin_failure
from seqlm_core.plugins.specs import CellSpec


def build_language_network(architecture: LanguageArchitecture, cell: Component[CellSpec]) -> LanguageNetwork:
    """Return the network of a language model; its parameters have no values yet.

    Raises:
        PluginError: the cell fails to build a layer.
    """
    return LanguageNetwork(architecture, _layer_builder(cell))


def build_sequence_network(
    architecture: SequenceArchitecture, cell: Component[CellSpec], char_cell: Component[CellSpec] | None = None
) -> SequenceNetwork:
    """Return the network of a sequence model; its parameters have no values yet.

    Raises:
        PluginError: a cell fails to build a layer.
    """
    return SequenceNetwork(architecture, _layer_builder(cell), None if char_cell is None else _layer_builder(char_cell))


def _layer_builder(cell: Component[CellSpec]) -> Callable[[int, int], gluon.HybridBlock]:
    name = cell.spec.name

    def build_layer(input_size: int, hidden_size: int) -> gluon.HybridBlock:
        with plugin_code(cell.spec, "cannot be built"):
            layer = cell.spec.build(input_size, hidden_size, cell.options)
        if not isinstance(layer, gluon.HybridBlock):
            raise PluginError(f"cell {name!r} built a {type(layer).__name__}, not a gluon HybridBlock")
        layer.seqlm_spec = cell.spec  # the plugin to name in errors of this layer
        return layer

    return build_layer


class LayerReading(gluon.HybridBlock):
    """The graph of one layer of a stack, over a fixed number of time steps."""

    def __init__(self, stack: Any, layer: int, time: int) -> None:
        super().__init__()
        self._run_layer = stack.run_layer
        self._layer = layer
        self._time = time
        self.register_child(stack.layers[layer])
        self.hybridize(static_alloc=True, static_shape=True)

    def hybrid_forward(self, F: Any, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        return self._run_layer(self._layer, inputs, states, self._time)


def check_cells_work(network: RecurrentNetwork, names: Mapping[str, str]) -> None:
    """Run each layer over two time steps, so that a faulty cell is found before the training begins.

    Args:
        network: an initialized network.
        names: the cells' names. The key is what the names of a cell's stacks begin with.

    Raises:
        PluginError: a layer fails, or returns outputs or states of a wrong shape.
    """
    for stack_name, stack in network.stacks.items():
        cell = next(name for beginning, name in names.items() if stack_name.startswith(beginning))
        begin = stack.begin_state(2, network.device, network.dtype)
        for layer in range(len(stack.layers)):
            inputs = nd.zeros((2, 2, stack.input_sizes[layer]), ctx=network.device, dtype=network.dtype)
            try:
                hidden, states = LayerReading(stack, layer, 2)(inputs, begin[layer])
                hidden.wait_to_read()
            except (SeqlmError, MemoryError):
                raise
            except Exception as error:  # MXNet may find unsuitable shapes only after the layer's own code has returned
                spec = getattr(stack.layers[layer], "seqlm_spec", None)
                if spec is None:
                    raise PluginError(f"cell {cell!r} does not work: {one_line(error)}") from error
                raise plugin_failure(spec, error, "does not work") from error
            wanted = (2, 2, stack.hidden_sizes[layer])
            if hidden.shape != wanted:
                raise PluginError(f"cell {cell!r} returns outputs of shape {hidden.shape} instead of {wanted}")
            if [state.shape for state in begin[layer]] != [state.shape for state in states]:
                raise PluginError(f"cell {cell!r} returns states of other shapes than it begins with")


def check_weights(network: RecurrentNetwork, weights: Mapping[str, np.ndarray]) -> None:
    """Raise :class:`ValueError` unless the weights have the names and shapes of the network's parameters."""
    check_shapes(weights, {name: tuple(parameter.shape) for name, parameter in unique_parameters(network).items()})


def load_weights(network: RecurrentNetwork, weights: Mapping[str, np.ndarray], device: mx.Context) -> None:
    """Set the network's parameters to the values of a checkpoint.

    Arrays that are on the device already are kept and overwritten.

    Raises:
        RunError: the weights have other names or shapes than the network's parameters.
    """
    try:
        check_weights(network, weights)
    except ValueError as error:
        raise RunError(f"the checkpoint is not one of this model: {error}") from error
    for name, parameter in unique_parameters(network).items():
        if not _is_on(parameter, device):
            parameter.initialize(init=mx.init.Zero(), ctx=device, force_reinit=True)
        parameter.set_data(nd.array(weights[name], ctx=device, dtype=weights[name].dtype))


def _is_on(parameter: Any, device: mx.Context) -> bool:
    try:
        return bool(parameter.list_ctx() == [device])
    except RuntimeError:  # it has no values yet
        return False


def weights_of(network: RecurrentNetwork) -> dict[str, np.ndarray]:
    """Return the network's parameters as NumPy arrays by name."""
    return {name: parameter.list_data()[0].asnumpy() for name, parameter in unique_parameters(network).items()}
