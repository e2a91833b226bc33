"""Recurrent layers as ONNX's own operators ``LSTM``, ``GRU`` and ``RNN``, whose formulas are those of the cells.

The gates come in another order there: input, output, forget, candidate for ``LSTM``; update, reset, candidate for
``GRU``. With ``linear_before_reset`` a ``GRU`` applies its reset gate after the recurrent product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqlm_core.interchange.onnx_graph import Graph
from seqlm_core.native import GATES
from seqlm_core.storage.checkpoint import select

OPERATORS: dict[str, tuple[str, list[int], dict[str, Any]]] = {
    "rnn_tanh": ("RNN", [0], {"activations": ["Tanh"]}),
    "rnn_relu": ("RNN", [0], {"activations": ["Relu"]}),
    "gru": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    "lstm": ("LSTM", [0, 3, 1, 2], {}),
}
"""Of each formula the operator, the places of its gates among those of the cell, and its attributes."""

FORWARD, REVERSE, BOTH = "forward", "reverse", "bidirectional"


def state_names(formula: str) -> tuple[str, ...]:
    """Return what the states of a layer are called: the hidden vector and, of an LSTM, its memory cell."""
    return ("h", "c") if formula == "lstm" else ("h",)


def add_layer(
    graph: Graph,
    formula: str,
    weights: Sequence[Mapping[str, np.ndarray]],
    inputs: str,
    direction: str = FORWARD,
    states: Sequence[str] = (),
    lengths: str = "",
) -> tuple[str, list[str]]:
    """Add a layer that reads all time steps.

    Args:
        graph: the graph.
        formula: the native formula of the cell.
        weights: the parameters of each direction by name.
        inputs: ``(time, batch, channels)``.
        direction: ``forward``; ``reverse``, which reads the last time step first; or both.
        states: the initial states ``(directions, batch, hidden)``; zeros if there are none.
        lengths: int32 lengths of the sequences ``(batch,)``; without them all are as long as the inputs.

    Returns:
        The outputs ``(time, batch, directions * hidden)``, and the states ``(directions, batch, hidden)`` of each
        direction after the last time step that it reads.
    """
    operator, order, attributes = OPERATORS[formula]
    size = weights[0]["h2h_weight"].shape[1]
    count = len(attributes.get("activations", ()))
    if count:
        attributes = {**attributes, "activations": attributes["activations"] * len(weights)}

    def arranged(names: Sequence[str]) -> np.ndarray:
        def of_direction(own: Mapping[str, np.ndarray]) -> np.ndarray:
            return np.concatenate([_reordered(own[name], order, size) for name in names])

        return np.stack([of_direction(own) for own in weights])

    parts = [arranged(["i2h_weight"]), arranged(["h2h_weight"]), arranged(["i2h_bias", "h2h_bias"])]
    constants = [graph.constant(array, name) for array, name in zip(parts, ("W", "R", "B"))]
    names = state_names(formula)
    outputs, *after = graph.add_many(
        operator,
        1 + len(names),
        inputs,
        *constants,
        lengths,
        *states,
        hidden_size=size,
        direction=direction,
        **attributes,
    )
    if len(weights) == 1:
        return graph.add("Squeeze", outputs, graph.integers(1)), after
    beside = graph.add("Transpose", outputs, perm=[0, 2, 1, 3])
    return graph.add("Reshape", beside, graph.integers(0, 0, 2 * size)), after


def add_sequence_layer(
    graph: Graph,
    formula: str,
    weights: Mapping[str, np.ndarray],
    layer: int,
    bidirectional: bool,
    inputs: str,
    lengths: str,
) -> tuple[str, str]:
    """Add a layer that reads whole sequences of unequal lengths, in one direction or in both.

    Args:
        graph: the graph.
        formula: the native formula of the cell.
        weights: the parameters of all layers of a stack by name.
        layer: the number of the layer.
        bidirectional: whether it reads in both directions.
        inputs: ``(time, batch, channels)``.
        lengths: int32 ``(batch,)``.

    Returns:
        The outputs of both directions side by side, ``(time, batch, size)``, and those after a whole sequence was read,
        ``(batch, size)``.
    """
    stacks = ["forward_stack", "backward_stack"] if bidirectional else ["forward_stack"]
    own = [select(weights, f"{stack}.{layer}.") for stack in stacks]
    direction = BOTH if bidirectional else FORWARD
    outputs, after = add_layer(graph, formula, own, inputs, direction, lengths=lengths)
    summary = graph.add("Transpose", after[0], perm=[1, 0, 2])
    size = len(stacks) * own[0]["h2h_weight"].shape[1]
    return outputs, graph.add("Reshape", summary, graph.integers(0, size))


def _reordered(array: np.ndarray, order: Sequence[int], size: int) -> np.ndarray:
    gates = [array[place * size : (place + 1) * size] for place in order]
    return np.concatenate(gates)


assert all(len(order) == GATES[formula] for formula, (_, order, _) in OPERATORS.items())
