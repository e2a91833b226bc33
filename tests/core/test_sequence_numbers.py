"""Losses, gradients and outputs of padded batches: against each sequence alone, and against the NumPy reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sequence_reference import (
    CELLS,
    INPUTS,
    LENGTHS,
    OUTPUTS,
    SPELT,
    ReferenceNetwork,
    alone,
    derivatives,
    draw_masks,
    encoded,
    losses_and_gradients,
    make_codecs,
    make_network,
    outputs_of,
    whole_batch,
)
from test_own_cells import LeakyCell, plugin, register  # noqa: F401 - a fixture

from seqlm_core.engine.mxnet import gluon, nd
from seqlm_core.model.build import weights_of
from seqlm_core.model.graph_batches import GraphBatches
from seqlm_core.model.prediction import NetworkPredictor
from seqlm_core.sequences.encoded_sequences import LONGEST_SPELLING, EncodedSequences

PADDED = {"time": 7, "columns": 6}  # of four sequences, the longest of five time steps
HUGE = 1e30
every_cell = pytest.mark.parametrize("cell", CELLS)
every_kind = pytest.mark.parametrize(("inputs", "outputs"), [(i, o) for i in INPUTS for o in OUTPUTS])
each_kind_once = pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ("one-hot", "label"),
        ("embedded", "values"),
        ("spelt", "labels"),
        ("values", "label"),
        ("joined", "labels"),
        ("tuned", "label"),
    ],
)


def assert_close(one, other, tolerance):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=tolerance, atol=tolerance, err_msg=name)


def assert_same(one, other):
    assert_close(one, other, 0)


def assert_as_alone(network, sequences, tolerance, masked=False):
    """Compare a batch that is padded on both axes with each of its sequences by itself, read step by step by MXNet."""
    batch = whole_batch(sequences, **PADDED)
    masks = draw_masks(network, batch.shape) if masked else None
    losses, gradients = losses_and_gradients(network, batch, masks)
    outputs = outputs_of(network, batch)
    summed = dict.fromkeys(gradients, 0.0)
    for index, length in enumerate(sequences.lengths):
        single = alone(sequences, index)
        own_masks = None if masks is None else [mask[:length, index : index + 1] for mask in masks]
        own, own_gradients = losses_and_gradients(network, single, own_masks, hybridize=False)
        column = losses[: len(own), index : index + 1] if losses.ndim == 2 else losses[index : index + 1]
        np.testing.assert_allclose(column, own, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(outputs[index], outputs_of(network, single)[0], rtol=tolerance, atol=tolerance)
        summed = {name: gradient + own_gradients[name] for name, gradient in summed.items()}
    assert np.count_nonzero(losses) == sequences.targets.predictions
    assert_close(gradients, summed, tolerance)
    assert all(np.any(gradient) for gradient in gradients.values())


@every_kind
@every_cell
def test_a_masked_batch_is_as_each_sequence_alone(cell, inputs, outputs):
    assert_as_alone(make_network(cell, inputs, outputs, layers=2), encoded(inputs, outputs), 1e-11, masked=True)


@each_kind_once
@every_cell
def test_a_masked_batch_is_as_each_sequence_alone_in_single_precision(cell, inputs, outputs):
    network = make_network(cell, inputs, outputs, layers=1, dtype="float32")
    assert_as_alone(network, encoded(inputs, outputs), 1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_three_layers_of_masked_sequences_are_as_each_alone(outputs, masked):
    assert_as_alone(make_network("bilstm", outputs=outputs, layers=3), encoded("embedded", outputs), 1e-11, masked)


@pytest.mark.parametrize("char_cell", CELLS)
def test_every_cell_spells_masked_tokens(char_cell):
    network = make_network("bigru", "spelt", char_cell=char_cell, dtype="float32")
    assert_as_alone(network, encoded("spelt", "labels"), 1e-5, masked=True)


class AddingLayer(gluon.HybridBlock):
    """A sequence layer ``h[t] = tanh(W x[0]) + .. + tanh(W x[t]) + s``, where the state s is a number."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self._hidden_size = hidden_size
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(hidden_size, input_size))

    def begin_state(self, batch_size, ctx=None, dtype="float32"):
        return [nd.zeros((batch_size, 1), ctx=ctx, dtype=dtype)]

    def hybrid_forward(self, F, inputs, states, weight):
        read = F.tanh(F.FullyConnected(inputs, weight, num_hidden=self._hidden_size, no_bias=True, flatten=False))
        return F.broadcast_add(F.cumsum(read, axis=0), states[0]), states


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("outputs", ["labels", "label"])
@pytest.mark.parametrize("layer", [LeakyCell, AddingLayer])
def test_cells_of_others_read_masked_sequences_as_each_alone(layer, outputs, bidirectional, register):  # noqa: F811
    register(plugin("theirs", bidirectional, build=lambda i, h, _: layer(i, h)))
    network = make_network("theirs", "spelt", outputs, layers=2, char_cell="theirs")
    assert_as_alone(network, encoded("spelt", outputs), 1e-11, masked=True)
    assert_padding_is_not_read(network, encoded("spelt", outputs))


def with_other_padding(batch, states, masks):
    """Return the same, but for what is in the places that are beyond the end of a sequence or belong to none."""
    random = np.random.default_rng(1)
    time, columns = batch.shape
    lengths, empty = batch.lengths.copy(), np.arange(columns) >= len(batch.indices)
    padding = empty | (np.arange(time)[:, None] >= lengths)
    lengths[empty] = random.integers(1, time + 1, empty.sum())
    inputs = [part.copy() for part in batch.inputs]
    for part in inputs:
        part[padding] = HUGE if part.dtype == np.float32 else random.integers(0, 3, part[padding].shape)
    if batch.inputs[-1].shape == batch.shape and len(batch.inputs) > 1:
        characters, counts = inputs[-2:]
        counts[padding] = random.integers(1, LONGEST_SPELLING + 1, padding.sum())
        beyond = padding[:, :, None] | (np.arange(LONGEST_SPELLING) >= counts[:, :, None])
        characters[beyond] = random.integers(0, 3, beyond.sum())
    targets = batch.targets.copy()
    unwanted = padding if batch.counted.ndim == 2 else empty
    targets[unwanted] = HUGE**0.5 if targets.dtype == np.float32 else 2
    other = dataclasses.replace(batch, inputs=inputs, lengths=lengths, targets=targets)

    def filled(state, where):
        return nd.array(np.where(where[:, None], HUGE**0.5, state.asnumpy()), dtype=state.dtype)

    other_states = [
        [[[filled(state, where) for state in layer] for layer in direction] for direction in encoder]
        for encoder, where in zip(states, (empty, padding.ravel()))
    ]
    return other, other_states, [np.where(padding[:, :, None], 3, mask) for mask in masks]


def assert_padding_is_not_read(network, sequences):
    batch = whole_batch(sequences, **PADDED)
    states, masks = network.begin_state(*batch.shape), draw_masks(network, batch.shape)
    other, other_states, other_masks = with_other_padding(batch, states, masks)
    losses, gradients = losses_and_gradients(network, batch, masks, states)
    other_losses, other_gradients = losses_and_gradients(network, other, other_masks, other_states)
    np.testing.assert_array_equal(losses, other_losses)
    assert_same(gradients, other_gradients)
    for one, two in zip(outputs_of(network, batch, states), outputs_of(network, other, other_states)):
        np.testing.assert_array_equal(one, two)


@every_kind
@every_cell
def test_what_the_padding_holds_changes_not_a_bit(cell, inputs, outputs):
    network = make_network(cell, inputs, outputs, layers=2, dtype="float32")
    assert_padding_is_not_read(network, encoded(inputs, outputs))


@pytest.mark.parametrize("outputs", OUTPUTS)
@every_cell
def test_more_padding_changes_nothing(cell, outputs):
    network, sequences = make_network(cell, "spelt", outputs, layers=2), encoded("spelt", outputs)
    losses, gradients = losses_and_gradients(network, whole_batch(sequences))
    more_losses, more_gradients = losses_and_gradients(network, whole_batch(sequences, time=12, columns=9))
    padded = np.zeros(more_losses.shape)
    padded[tuple(slice(n) for n in losses.shape)] = losses
    np.testing.assert_allclose(more_losses, padded, atol=1e-12)
    assert_close(gradients, more_gradients, 1e-11)


@pytest.mark.parametrize("outputs", OUTPUTS)
@every_cell
def test_predictions_depend_neither_on_order_nor_on_company(cell, outputs):
    network = make_network(cell, "embedded", outputs)
    sequences = encoded("embedded", outputs, lengths=[3, 9, 1, 30, 12, 2, 9, 18] + [0] * (outputs != "label"))
    wanted = [outputs_of(network, alone(sequences, i))[0] if n else None for i, n in enumerate(sequences.lengths)]
    order = np.random.default_rng(0).permutation(len(sequences))
    for chosen, batch_size in ((order, 1), (order, 3), (order[:5], 4), (order[::-1], 100)):
        predictor = NetworkPredictor(GraphBatches(network), make_codecs("embedded", outputs), batch_size)
        found = predictor.outputs(EncodedSequences([sequences.inputs[i] for i in chosen]))
        for index, output in zip(chosen, found):
            if wanted[index] is None:
                assert output.shape == (0, network.architecture.output_size)
            else:
                np.testing.assert_allclose(output, wanted[index], atol=1e-12)


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("layers", [1, 3])
@every_cell
def test_a_prediction_moves_with_each_token_that_its_directions_read(cell, layers, outputs):
    network = make_network(cell, "one-hot", outputs, layers)
    sequences = encoded("one-hot", outputs, lengths=[6])
    before = np.atleast_2d(outputs_of(network, whole_batch(sequences, time=8))[0])
    read_to = [5] if outputs == "label" else range(6)  # a label is that of the whole sequence
    for moved in range(6):
        ids = sequences.inputs[0].copy()
        ids[moved] = (ids[moved] + 1) % network.architecture.input_size
        after = np.atleast_2d(outputs_of(network, whole_batch(EncodedSequences([ids]), time=8))[0])
        moves = np.abs(after - before).max(axis=1) > 1e-9
        np.testing.assert_array_equal(moves, [cell.startswith("bi") or moved <= t for t in read_to])


@each_kind_once
@every_cell
def test_losses_and_gradients_agree_with_the_reference(cell, inputs, outputs):
    assert_as_reference(cell, inputs, outputs)


@each_kind_once
@every_cell
def test_layers_of_unequal_sizes_agree_with_the_reference(cell, inputs, outputs):
    assert_as_reference(cell, inputs, outputs, hidden_size=(4, 2))


def assert_as_reference(cell, inputs, outputs, **settings):
    char_cell = CELLS[CELLS.index(cell) - 1]
    given = {**settings, **({"char_cell": char_cell} if inputs in SPELT else {})}
    network = make_network(cell, inputs, outputs, 2, **given)
    sequences = encoded(inputs, outputs, lengths=(2, 1) if inputs in SPELT else LENGTHS)
    losses, gradients = losses_and_gradients(network, whole_batch(sequences, **PADDED))

    def reference_losses(weights):
        reference = ReferenceNetwork(cell, network.architecture, weights, char_cell)
        return [reference.losses(alone(sequences, i)) for i in range(len(sequences))]

    weights = weights_of(network)
    for column, expected in enumerate(reference_losses(weights)):
        found = losses[: len(expected), column] if losses.ndim == 2 else losses[column]
        np.testing.assert_allclose(found, expected if losses.ndim == 2 else expected[0], atol=1e-12)
    along = derivatives(weights, lambda moved: sum(expected.sum() for expected in reference_losses(moved)))
    for name, (direction, derivative) in along.items():
        np.testing.assert_allclose((gradients[name] * direction).sum(), derivative, atol=1e-11, err_msg=name)
