"""A language model as graphs of ONNX: one that reads a token at a time, one for windows, one for both sides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqlm_core.interchange.onnx_graph import Graph
from seqlm_core.interchange.onnx_layers import FORWARD, REVERSE, add_layer, state_names
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.output_parameters import output_parameters
from seqlm_core.native.output_parameters import OutputParameters, Pair
from seqlm_core.storage.checkpoint import select


class LanguageGraphs:
    """Makes the graphs of a language model.

    Args:
        architecture: its sizes.
        formula: the native formula of its layers.
        weights: its parameters by name.
    """

    def __init__(self, architecture: LanguageArchitecture, formula: str, weights: Mapping[str, np.ndarray]) -> None:
        self._a = architecture
        self._formula = formula
        self._weights = weights

    def step(self) -> Graph:
        """Return the graph that reads one token in each row, from left to right.

        Inputs: ``ids (batch,)``, int64, and the states ``h0``, ``c0``, ... of each layer, ``(batch, hidden)``. Outputs:
        ``log_probabilities (batch, vocabulary)`` in nats of the token that follows, and the new states, ``h0_next``.
        """
        graph = Graph()
        ids = graph.add("Unsqueeze", graph.input("ids", np.int64, ["batch"]), graph.integers(0))
        hidden, after = self._read_left(graph, ids, self._states(graph))
        scores = self._predict(graph, graph.add("Squeeze", hidden, graph.integers(0)), self._left_output)
        graph.output(scores, "log_probabilities", np.float32, ["batch", self._a.vocabulary_size])
        self._put_out(graph, after)
        return graph

    def sequence(self) -> Graph:
        """Return the graph that reads a window, from left to right.

        Inputs: ``ids (time, batch)``, int64, at least one time step, and the states as in :meth:`step`. Outputs:
        ``log_probabilities (time, batch, vocabulary)`` of the token after each, and the states after the last.
        """
        graph = Graph()
        ids = graph.input("ids", np.int64, ["time", "batch"])
        hidden, after = self._read_left(graph, ids, self._states(graph))
        scores = self._predict(graph, hidden, self._left_output)
        graph.output(scores, "log_probabilities", np.float32, ["time", "batch", self._a.vocabulary_size])
        self._put_out(graph, after)
        return graph

    def both_sides(self) -> Graph:
        """Return the graph of a bidirectional model that predicts each token from the text on both sides of it.

        Inputs: ``ids (time, batch)``, int64, at least two time steps, and the forward states as in :meth:`step`.
        Output: ``log_probabilities (predictions, batch, vocabulary)`` of all tokens but the first: row ``t`` is of
        token ``t + 1``. The backward direction begins afresh at the end.
        """
        graph = Graph()
        ids = graph.input("ids", np.int64, ["time", "batch"])
        left, _ = self._read_left(graph, graph.slice(ids, 0, 0, -1), self._states(graph))
        right = self._inputs(graph, graph.slice(ids, 0, 1))
        for layer in range(self._a.layers):
            own = select(self._weights, f"backward_stack.{layer}.")
            right, _ = add_layer(graph, self._formula, [own], right, REVERSE)
        # The token after the one that is predicted is read last; after the last token there is nothing.
        nothing = graph.add("Mul", graph.slice(right, 0, 0, 1), graph.constant(np.zeros(1, np.float32)))
        right = graph.add("Concat", graph.slice(right, 0, 1), nothing, axis=0)
        hidden = graph.add("Add", left, right) if self._a.adds_directions else graph.add("Concat", left, right, axis=2)
        scores = self._predict(graph, hidden, output_parameters(self._a, self._weights))
        graph.output(scores, "log_probabilities", np.float32, ["predictions", "batch", self._a.vocabulary_size])
        return graph

    @property
    def _left_output(self) -> OutputParameters:
        """The output layer for hidden vectors of the left context alone."""
        parts = output_parameters(self._a, self._weights)
        return parts if self._a.head_size == self._a.hidden_sizes[-1] else parts.of_inputs(self._a.hidden_sizes[-1])

    def _states(self, graph: Graph) -> list[list[str]]:
        """Add the inputs of the states, and return those of each layer with the axis of directions that ONNX has."""
        names = state_names(self._formula)
        return [
            [
                graph.add("Unsqueeze", graph.input(f"{name}{layer}", np.float32, ["batch", size]), graph.integers(0))
                for name in names
            ]
            for layer, size in enumerate(self._a.hidden_sizes)
        ]

    def _put_out(self, graph: Graph, after: list[list[str]]) -> None:
        for layer, (size, states) in enumerate(zip(self._a.hidden_sizes, after)):
            for name, state in zip(state_names(self._formula), states):
                squeezed = graph.add("Squeeze", state, graph.integers(0))
                graph.output(squeezed, f"{name}{layer}_next", np.float32, ["batch", size])

    def _inputs(self, graph: Graph, ids: str) -> str:
        """Return the vectors that the lowest layer reads, for ids ``(time, batch)``."""
        if self._a.embedding_size:
            return graph.add("Gather", graph.constant(self._weights["input.weight"], "weight"), ids)
        return one_hot(graph, ids, self._a.vocabulary_size)

    def _read_left(self, graph: Graph, ids: str, states: list[list[str]]) -> tuple[str, list[list[str]]]:
        values, after = self._inputs(graph, ids), []
        for layer, own in enumerate(states):
            weights = select(self._weights, f"forward_stack.{layer}.")
            values, new = add_layer(graph, self._formula, [weights], values, FORWARD, own)
            after.append(new)
        return values, after

    def _predict(self, graph: Graph, hidden: str, output: OutputParameters) -> str:
        """Return log-probabilities ``(..., vocabulary)`` for hidden vectors."""
        if output.projection is not None:
            hidden = graph.affine(hidden, *output.projection)
        first = _log_softmax(graph, hidden, output.first)
        if not output.clusters:
            return first
        shortlist = len(output.first[1]) - len(output.clusters)
        parts = [graph.slice(first, -1, 0, shortlist)]
        for number, (projection, of_tokens) in enumerate(output.clusters, start=shortlist):
            inputs = hidden if projection is None else graph.affine(hidden, *projection)
            of_cluster = graph.slice(first, -1, number, number + 1)
            parts.append(graph.add("Add", of_cluster, _log_softmax(graph, inputs, of_tokens)))
        return graph.add("Concat", *parts, axis=-1)


def one_hot(graph: Graph, ids: str, size: int) -> str:
    """Return one-hot vectors ``(..., size)`` of ids."""
    values = graph.constant(np.array([0, 1], np.float32))
    return graph.add("OneHot", ids, graph.constant(np.array(size, np.int64)), values, axis=-1)


def _log_softmax(graph: Graph, inputs: str, pair: Pair) -> str:
    return graph.add("LogSoftmax", graph.affine(inputs, *pair), axis=-1)
