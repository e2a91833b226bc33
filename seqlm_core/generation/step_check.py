"""Checks on random inputs whether a cell's NumPy step computes the same as its layer."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import gluon, nd
from seqlm_core.engine.randomness import generator
from seqlm_core.errors import one_line
from seqlm_core.model.build import LayerReading
from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.specs import CellSpec

logger = logging.getLogger("seqlm")

TIME, ROWS = 3, 2
TOLERANCE = 1e-3
"""The largest difference that is allowed, since the layer computes in float32 and the step in float64. It is relative
to the largest output if that is above 1."""


def step_problem(network: RecurrentNetwork, cell: Component[CellSpec], stack_name: str = "forward_stack") -> str | None:
    """Return what is wrong with the step of a plugin's cell; None if it is right, or if there is no step.

    The two lowest layers read three inputs, which takes hardly longer than reading their weights. The network is not
    changed.

    Args:
        network: the network.
        cell: the cell.
        stack_name: the name of a stack of the cell's layers in the network.
    """
    if cell.source.built_in or not cell.spec.has_step(cell.options):
        return None
    stack = network.stacks[stack_name]
    for layer in range(min(2, len(stack.layers))):
        random = generator(0, layer, "step against layer")
        inputs = random.normal(size=(TIME, ROWS, stack.input_sizes[layer])).astype(np.float32)
        states = stack.begin_state(ROWS, network.device, network.dtype)[layer]
        with _moved_constants(stack.layers[layer], random) as weights:
            read, _ = LayerReading(stack, layer, TIME)(
                nd.array(inputs, ctx=network.device, dtype=network.dtype), states
            )
            expected = read.asnumpy()
        try:
            problem = _difference(cell, weights, inputs.astype(np.float64), expected)
        except Exception as error:
            problem = f"raises {one_line(error)}"
        if problem is not None:
            return problem
    return None


def warn_of_step(
    cell: Component[CellSpec], problem: str, so: str = "texts are made by the layer, which is slower"
) -> None:
    """Warn that a step is wrong.

    Args:
        cell: the cell.
        problem: what is wrong with its step.
        so: what follows from it.
    """
    logger.warning(
        "the step of cell %r of %s %s: %s; try seqlm check cell:%s",
        cell.spec.name,
        cell.source,
        problem,
        so,
        cell.spec.name,
    )


def without_step(cell: Component[CellSpec]) -> Component[CellSpec]:
    """Return the cell without its step, so that texts are generated with its layer."""
    return dataclasses.replace(cell, spec=dataclasses.replace(cell.spec, step=None, project=None, native=None))


def _difference(
    cell: Component[CellSpec], weights: Mapping[str, np.ndarray], inputs: np.ndarray, expected: np.ndarray
) -> str | None:
    states: Any = ()
    for position, values in enumerate(inputs):
        if cell.spec.project is not None:
            values = cell.spec.project(weights, values, cell.options)
        hidden, states = cell.spec.step(weights, values, states, cell.options)  # type: ignore[misc]
        if np.shape(hidden) != expected[position].shape:
            return f"returns outputs of shape {np.shape(hidden)} instead of {expected[position].shape}"
        difference = float(np.abs(hidden - expected[position]).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            return f"differs from the layer by {difference:.2g} after {position + 1} time steps"
    return None


@contextlib.contextmanager
def _moved_constants(layer: gluon.HybridBlock, random: np.random.Generator) -> Iterator[dict[str, np.ndarray]]:
    """Give constant parameters, such as biases of zero, random values within the context, so that they have an effect.

    Yields the layer's weights by name, in float64.
    """
    weights, before = {}, []
    try:
        for name, parameter in layer._collect_params_with_prefix().items():
            array = parameter.list_data()[0].asnumpy()
            if array.size and (array == array.flat[0]).all():
                before.append((parameter, array))
                array = (array + random.normal(scale=0.3, size=array.shape)).astype(array.dtype)
                parameter.set_data(nd.array(array, ctx=parameter.list_ctx()[0], dtype=array.dtype))
            weights[name] = array.astype(np.float64)
        yield weights
    finally:
        for parameter, array in before:
            parameter.set_data(nd.array(array, ctx=parameter.list_ctx()[0], dtype=array.dtype))
