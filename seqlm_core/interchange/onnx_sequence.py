"""A sequence model as a graph of ONNX: whole sequences of unequal lengths in, labels' scores or values out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqlm_core.interchange.onnx_graph import Graph
from seqlm_core.interchange.onnx_language import one_hot
from seqlm_core.interchange.onnx_layers import add_sequence_layer
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.sequences.codecs import Codecs, ValueCodec
from seqlm_core.sequences.encoded_sequences import LONGEST_SPELLING
from seqlm_core.sequences.label_chains import LabelChain
from seqlm_core.storage.checkpoint import select

PLACES = ["time", "batch"]


def sequence_graph(
    a: SequenceArchitecture,
    formula: str,
    char_formula: str | None,
    weights: Mapping[str, np.ndarray],
    codecs: Codecs,
    chain: LabelChain | None,
) -> Graph:
    """Return the graph of a sequence model.

    Inputs, of which each model has some: ``tokens (time, batch)``; ``column_0``, ... ``(time, batch)``, the ids of
    further columns, of which shapes are the last; ``vectors_0``, ... ``(time, batch, size)``, float32; ``characters
    (time, batch, 16)`` and ``character_counts (time, batch)``, at least 1; or ``values (time, batch, channels)``,
    float64, in their own units. All models have ``lengths (batch,)``, at least 1. Ids, counts and lengths are int64.

    Outputs: ``log_probabilities (time, batch, labels)`` in nats, or ``(batch, labels)`` for one label of a sequence;
    ``values (time, batch, channels)``, float64, in their own units. Where labels depend on each other, the first is
    called ``scores``, and there are the scores of labels next to each other: ``first (labels,)``, ``transitions
    (labels, labels)`` and ``last (labels,)``.

    Args:
        a: its sizes and kinds.
        formula: the native formula of its layers.
        char_formula: that of the layer that reads characters; None if none are read.
        weights: its parameters by name.
        codecs: give its inputs and outputs their meaning.
        chain: the scores of labels next to each other; None without such scores.
    """
    graph = Graph()
    values = _inputs(graph, a, char_formula, weights, codecs)
    lengths = graph.cast(graph.input("lengths", np.int64, ["batch"]), np.int32)
    summary = ""
    for layer in range(a.layers):
        values, summary = add_sequence_layer(
            graph, formula, select(weights, "encoder."), layer, a.bidirectional, values, lengths
        )
    scores = "head.scores." if a.crf else "head."
    hidden = summary if a.outputs == "label" else values
    outputs = graph.affine(hidden, weights[f"{scores}weight"], weights[f"{scores}bias"])
    codec = codecs.outputs
    if isinstance(codec, ValueCodec):
        scaled = graph.add("Mul", graph.cast(outputs, np.float64), graph.constant(codec.scale, "scale"))
        moved = graph.add("Add", scaled, graph.constant(codec.mean, "mean"))
        graph.output(moved, "predictions", np.float64, [*PLACES, a.output_size])
        return graph
    places = ["batch"] if a.outputs == "label" else PLACES
    if not a.crf:
        outputs = graph.add("LogSoftmax", outputs, axis=-1)
    graph.output(outputs, "log_probabilities" if chain is None else "scores", np.float32, [*places, a.output_size])
    if chain is not None:
        for name, array in (("first", chain.first), ("transitions", chain.transitions), ("last", chain.last)):
            graph.output(graph.constant(array.astype(np.float32)), name, np.float32, array.shape)
    return graph


def _inputs(
    graph: Graph, a: SequenceArchitecture, char_formula: str | None, weights: Mapping[str, np.ndarray], codecs: Codecs
) -> str:
    """Return the vectors that the lowest layer reads, ``(time, batch, channels)``."""
    codec = codecs.inputs
    if isinstance(codec, ValueCodec):
        values = graph.input("values", np.float64, [*PLACES, a.input_size])
        centred = graph.add("Sub", values, graph.constant(codec.mean, "mean"))
        return graph.cast(graph.add("Div", centred, graph.constant(codec.scale, "scale")), np.float32)
    tokens = graph.input("tokens", np.int64, PLACES)
    parts = [
        graph.add("Gather", graph.constant(weights[_embedding_name(a)], "weight"), tokens)
        if a.embedding_size
        else one_hot(graph, tokens, a.input_size)
    ]
    columns = [graph.input(f"column_{number}", np.int64, PLACES) for number in range(len(a.columns))]
    vectors = [graph.input(f"vectors_{n}", np.float32, [*PLACES, size]) for n, size in enumerate(a.vectors)]
    if a.tuned_vectors:
        parts = [graph.add("Add", parts[0], vectors.pop(0))]
    for number, ids in enumerate(columns):
        parts.append(graph.add("Gather", graph.constant(weights[f"input.columns.{number}.weight"], "weight"), ids))
    parts += vectors
    if char_formula is not None and a.characters:
        parts.append(_spelt(graph, a, char_formula, weights))
    return graph.add("Concat", *parts, axis=2) if len(parts) > 1 else parts[0]


def _embedding_name(a: SequenceArchitecture) -> str:
    return "input.weight" if a.reads_tokens_only else "input.tokens.weight"


def _spelt(graph: Graph, a: SequenceArchitecture, formula: str, weights: Mapping[str, np.ndarray]) -> str:
    """Return the vectors that are made of characters, ``(time, batch, size)``."""
    characters = graph.input("characters", np.int64, [*PLACES, LONGEST_SPELLING])
    counts = graph.input("character_counts", np.int64, PLACES)
    beside = graph.add("Transpose", characters, perm=[2, 0, 1])
    beside = graph.add("Reshape", beside, graph.integers(LONGEST_SPELLING, -1))
    vectors = graph.add("Gather", graph.constant(weights["input.characters.weight"], "weight"), beside)
    lengths = graph.cast(graph.add("Reshape", counts, graph.integers(-1)), np.int32)
    own = select(weights, "input.encoder.")
    _, summary = add_sequence_layer(graph, formula, own, 0, a.char_bidirectional, vectors, lengths)
    size = a.char_hidden_size * (1 + a.char_bidirectional)
    places = graph.add("Concat", graph.add("Shape", counts), graph.integers(size), axis=0)
    return graph.add("Reshape", summary, places)
