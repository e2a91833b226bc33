"""Small sequence networks with random weights, batches for them, and the same networks in plain NumPy.

The NumPy network reads one sequence at a time, without padding. It shares nothing with the product but the encoded
inputs. Arrays may be complex; see ``reference_model``.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from reference_model import STEP, gru_step, lstm_step, rnn_step

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, mx, nd
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.model.build import build_sequence_network, load_weights
from seqlm_core.model.graph_batches import NetworkInputs
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.model.sequence_network import SequenceLoss, SequenceOutputs
from seqlm_core.plugins.components import Components
from seqlm_core.sequences.batches import Batch
from seqlm_core.sequences.codecs import Codecs
from seqlm_core.sequences.encoded_sequences import EncodedSequences
from seqlm_core.sequences.examples import check_examples
from seqlm_core.sequences.given_vectors import GivenVectors

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]
INPUTS = {
    "one-hot": {"embedding_size": 0},
    "embedded": {"embedding_size": 3},
    "spelt": {"embedding_size": 2, "char_hidden_size": 2, "char_cell": "bigru"},
    "joined": {
        "embedding_size": 2, "char_hidden_size": 2, "char_cell": "birnn", "column_embedding_size": 2, "shapes": True,
        "lowercase": True,
    },
    "tuned": {"tune_vectors": True, "column_embedding_size": 2},
    "values": {},
}  # fmt: skip
SPELT = ("spelt", "joined")
WITH_VECTORS = ("joined", "tuned")
OUTPUTS = ["labels", "label", "values"]
HIDDEN, CHANNELS = 3, 2
LENGTHS = (3, 1, 5, 2)
WORDS = ["a", "ba", "cab", "abc" * 7, "b", "abba"]


class WordVectors:
    """Vectors of words, which are functions of their letters; ``b`` has none."""

    described: ClassVar[dict] = {}

    def __init__(self, size):
        self.size = size

    def of(self, sequences):
        table = np.random.default_rng(self.size).normal(0, 0.5, (len(WORDS), self.size)).astype(np.float32)
        rows = {word: row for row, word in enumerate(WORDS) if word != "b"}
        return GivenVectors(table, [np.array([rows.get(word, -1) for word in words], int) for words in sequences])


def make_examples(inputs, outputs, lengths=LENGTHS, seed=0):
    """Return checked examples, some of whose time steps do not count."""
    random = np.random.default_rng(seed)

    def values(length):
        return random.normal(0, 2, (length, CHANNELS))

    def labels(length):
        return random.choice(["x", "y", "z"], length).tolist()

    examples = []
    for length in lengths:
        read = values(length) if inputs == "values" else random.choice(WORDS, length).tolist()
        if inputs in WITH_VECTORS:
            read = list(zip(read, random.choice(["N", "V"], length).tolist()))
        target = values(length) if outputs == "values" else labels(length)
        if length > 1:
            target[1] = np.nan if outputs == "values" else None
        examples.append((read, target[0] if outputs == "label" else target))
    return check_examples(examples, "values" if inputs == "values" else "tokens", outputs)


def make_codecs(inputs, outputs):
    kind = "values" if inputs == "values" else "tokens"
    examples = make_examples(inputs, outputs, lengths=[9] * 9, seed=99)
    sources = (WordVectors(4), WordVectors(3)) if inputs in WITH_VECTORS else ()
    of_tokens = {name: INPUTS[inputs].get(name, False) for name in ("shapes", "lowercase")}
    return Codecs.from_examples(examples, kind, outputs, by_characters=inputs in SPELT, sources=sources, **of_tokens)


def encoded(inputs, outputs, lengths=LENGTHS, seed=0):
    examples = make_examples(inputs, outputs, lengths, seed)
    return EncodedSequences.of_examples(examples, outputs, make_codecs(inputs, outputs))


def make_network(cell, inputs="embedded", outputs="labels", layers=1, dtype="float64", seed=3, **settings):
    """Return a network whose parameters, biases included, are random numbers."""
    given = {"cell": cell, "hidden_size": HIDDEN, "layers": layers, **INPUTS[inputs], **settings}
    wanted = seqlm.SequenceSettings(**given)
    components = Components.choose(wanted, seqlm.installed_plugins())
    codecs = make_codecs(inputs, outputs)
    char_cell = components.char_cell
    architecture = SequenceArchitecture.choose(
        wanted,
        outputs=outputs,
        bidirectional=components.cell.spec.bidirectional,
        **codecs.sizes,
        char_bidirectional=char_cell is not None and char_cell.spec.bidirectional,
    )
    network = build_sequence_network(architecture, components.cell, char_cell)
    network.cast(dtype)
    random = np.random.default_rng(seed)
    shapes = {name: parameter.shape for name, parameter in unique_parameters(network).items()}
    weights = {name: random.normal(0, 0.5, shape).astype(dtype) for name, shape in shapes.items()}
    load_weights(network, weights, mx.cpu())
    return network


def whole_batch(sequences, time=None, columns=None):
    """Return all sequences side by side."""
    return Batch.of(
        sequences, np.arange(len(sequences)), time or int(max(sequences.lengths)), columns or len(sequences)
    )


def alone(sequences, index):
    """Return a batch of one sequence without any padding."""
    return Batch.of(sequences, np.array([index]), int(sequences.lengths[index]), 1)


def losses_and_gradients(network, batch, masks=None, states=None, hybridize=True):
    """Return the losses, and the gradients of their sum by the parameters' names."""
    inputs, lengths, fresh = NetworkInputs(network)(batch)
    graph = SequenceLoss(network, batch.shape[0])
    graph.hybridize(hybridize)
    targets = nd.array(batch.targets, dtype="int32" if batch.targets.dtype == np.int32 else network.dtype)
    counted = nd.array(batch.counted, dtype=network.dtype)
    masks = None if masks is None else [nd.array(mask, dtype=network.dtype) for mask in masks]
    with autograd.record():
        losses = graph(inputs, lengths, states or fresh, masks, targets, counted)
    losses.backward()
    gradients = {name: parameter.grad().asnumpy() for name, parameter in unique_parameters(network).items()}
    return losses.asnumpy(), gradients


def outputs_of(network, batch, states=None):
    """Return what the network makes of each sequence: log-probabilities or values, within its length."""
    inputs, lengths, fresh = NetworkInputs(network)(batch)
    with network.repeatable():
        computed = SequenceOutputs(network, batch.shape[0])(inputs, lengths, states or fresh).asnumpy()
    if network.architecture.outputs == "label":
        return list(computed[: len(batch.indices)])
    return [computed[: batch.lengths[column], column] for column in range(len(batch.indices))]


def draw_masks(network, shape, seed=7):
    """Return dropout masks for a batch."""
    random = np.random.default_rng(seed)
    return [2.0 * random.integers(0, 2, (*shape, size)) for size in network.mask_sizes]


class ReferenceNetwork:
    """Losses of one sequence; ``weights`` has the product's parameter names."""

    def __init__(self, cell, architecture, weights, char_cell=""):
        self.cell = cell
        self.char_cell = char_cell
        self.a = architecture
        self.weights = weights

    def losses(self, batch):
        """Return the loss of each time step of a batch of one sequence, or one loss; not counted ones are 0."""
        rows = self.read(batch)
        scores = rows @ self.weights["head.weight"].T + self.weights["head.bias"]
        targets, counted = batch.targets[..., 0, :] if self.a.outputs == "values" else batch.targets, batch.counted
        if self.a.outputs == "values":
            return ((scores - targets) ** 2).mean(axis=-1) * counted[:, 0]
        log_probabilities = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
        return -log_probabilities[np.arange(len(rows)), targets.ravel()] * counted.ravel()

    def read(self, batch):
        """Return what the head reads, ``(time, size)``, or one row for a label of the sequence."""
        rows = self.embed(batch)
        for layer in range(self.a.layers):
            forward, backward = self.read_layer(self.cell, "encoder", layer, rows)
            rows = forward if backward is None else np.concatenate([forward, backward], axis=1)
        return self.summary(forward, backward)[None] if self.a.outputs == "label" else rows

    def embed(self, batch):
        if self.a.inputs == "values":
            return batch.inputs[0][:, 0].astype(float)
        ids = batch.inputs[0][:, 0]
        table = "input.weight" if self.a.reads_tokens_only else "input.tokens.weight"
        rows = self.weights[table][ids] if self.a.embedding_size else np.eye(self.a.input_size)[ids]
        rest = [part[:, 0] for part in batch.inputs[1:]]
        columns, vectors = rest[: len(self.a.columns)], rest[len(self.a.columns) :][: len(self.a.vectors)]
        parts = [rows, *(self.weights[f"input.columns.{i}.weight"][ids] for i, ids in enumerate(columns)), *vectors]
        if self.a.tuned_vectors:
            parts = [rows + vectors[0], *(part for part in parts[1:] if part is not vectors[0])]
        if self.a.characters:
            parts.append(np.stack([self.spell(letters[:count]) for letters, count in zip(*rest[-2:])]))
        return np.concatenate(parts, axis=1)

    def spell(self, characters):
        rows = self.weights["input.characters.weight"][characters]
        return self.summary(*self.read_layer(self.char_cell, "input.encoder", 0, rows))

    def summary(self, forward, backward):
        return forward[-1] if backward is None else np.concatenate([forward[-1], backward[0]])

    def read_layer(self, cell, where, layer, rows):
        """Return the outputs of the forward direction, and of the backward one in the order of time if there is one."""
        forward = self.read_direction(cell, f"{where}.forward_stack.{layer}.", rows)
        if not cell.startswith("bi"):
            return forward, None
        return forward, self.read_direction(cell, f"{where}.backward_stack.{layer}.", rows[::-1])[::-1]

    def read_direction(self, cell, prefix, rows):
        w = {name[len(prefix) :]: array for name, array in self.weights.items() if name.startswith(prefix)}
        step = {"rnn": rnn_step, "gru": gru_step, "lstm": lstm_step}[cell.replace("bi", "")]
        zeros = np.zeros(w["h2h_weight"].shape[1])
        state = (zeros, zeros) if step is lstm_step else zeros
        outputs = []
        for row in rows:
            state = step(w, row, state)
            outputs.append(state[0] if step is lstm_step else state)
        return np.stack(outputs)


def derivatives(weights, loss, seed=5):
    """Return for each array a random direction, and the derivative of ``loss(weights)`` along it by a complex step."""
    random = np.random.default_rng(seed)
    found = {}
    for name, array in weights.items():
        direction = random.normal(size=array.shape)
        moved = {**weights, name: array + 1j * STEP * direction}
        found[name] = direction, np.imag(loss(moved)) / STEP
    return found
