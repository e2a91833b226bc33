"""Losses and gradients of the model against the NumPy reference, for all six cells."""

from __future__ import annotations

import numpy as np
import pytest
from reference_model import ReferenceModel, complex_step_gradients

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, mx, nd
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network, weights_of
from seqlm_core.model.graphs import WindowLoss
from seqlm_core.model.initialization import initialize, unique_parameters
from seqlm_core.plugins.components import Components

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]
INPUTS = {
    "one-hot": {"embedding_size": 0},
    "embedded": {"embedding_size": 3},
    "tied": {"tie_weights": True},
}
SIZES = {
    "a size for each layer": {"hidden_size": (5, 3), "embedding_size": 2},
    "tied to a smaller size": {"tie_weights": True, "embedding_size": 3},
    "tied to a larger size": {"tie_weights": True, "embedding_size": 5},
    "tied to the size of the last layer": {"tie_weights": True, "embedding_size": 2, "hidden_size": (5, 2)},
}
TIME, BATCH, VOCABULARY, HIDDEN = 5, 2, 6, 4


def make_model(cell, seed=3, dtype="float64", hidden_size=HIDDEN, **settings):
    wanted = seqlm.LanguageSettings(cell=cell, hidden_size=hidden_size, **settings)
    components = Components.choose(wanted, seqlm.installed_plugins())
    architecture = LanguageArchitecture.choose(wanted, components.cell.spec.bidirectional, VOCABULARY)
    model = build_language_network(architecture, components.cell)
    initialize(model, seed, mx.cpu())
    model.cast(dtype)
    random = np.random.default_rng(seed)
    for parameter in unique_parameters(model).values():
        parameter.set_data(nd.array(random.normal(0, 0.5, parameter.shape), dtype=dtype))
    return model


def window(seed=0):
    return np.random.default_rng(seed).integers(0, VOCABULARY, (TIME + 1, BATCH))


def visibility(model, pattern):
    return None if model.backward_stack is None else nd.array(pattern[:, :, None], dtype=model.dtype)


def losses_of(model, tokens, states=None, pattern=None, hybridize=True, targets=None):
    graph = WindowLoss(model, len(tokens) - 1)
    if not hybridize:
        graph.hybridize(False)
    pattern = np.ones((len(tokens) - 1, tokens.shape[1])) if pattern is None else pattern
    return graph(
        nd.array(tokens[:-1], dtype="int32"),
        nd.array(tokens[1:] if targets is None else targets, dtype="int32"),
        states or model.begin_state(tokens.shape[1]),
        None,
        None if model.backward_stack is None else nd.array(tokens[:1:-1], dtype="int32"),
        model.begin_backward_state(tokens.shape[1]),
        None,
        visibility(model, pattern),
    )


@pytest.mark.parametrize("kind", [*INPUTS, *SIZES])
@pytest.mark.parametrize("cell", CELLS)
def test_loss_and_gradients_agree_with_the_reference(cell, kind):
    tokens = window()
    pattern = np.array([[1, 1], [0, 1], [1, 0], [1, 1], [1, 1]])
    found = {}
    for dtype in ("float64", "float32"):
        model = make_model(cell, dtype=dtype, layers=2, **{**INPUTS, **SIZES}[kind])
        with autograd.record():
            losses, _ = losses_of(model, tokens, pattern=pattern)
            total = losses.sum()
        total.backward()
        gradients = {name: parameter.grad().asnumpy() for name, parameter in unique_parameters(model).items()}
        found[dtype] = model, losses.asnumpy(), gradients

    model = found["float64"][0]
    weights = weights_of(model)
    visible = None if model.backward_stack is None else pattern

    def reference_losses(moved):
        reference = ReferenceModel(cell, model.architecture, moved)
        columns = [
            reference.window_losses(tokens[:, b], visible=None if visible is None else visible[:, b])[0]
            for b in range(BATCH)
        ]
        return np.stack(columns, axis=1)

    expected_losses = reference_losses(weights)
    expected = complex_step_gradients(weights, lambda moved: reference_losses(moved).sum())
    for dtype, tolerance in (("float64", 1e-8), ("float32", 1e-4)):
        _, losses, gradients = found[dtype]
        np.testing.assert_allclose(losses, expected_losses, rtol=tolerance, atol=tolerance)
        for name, gradient in gradients.items():
            scale = max(1, np.abs(expected[name]).max())
            np.testing.assert_allclose(
                gradient / scale, expected[name] / scale, rtol=0, atol=tolerance, err_msg=f"{name} {dtype}"
            )


@pytest.mark.parametrize("cell", CELLS)
def test_relu_and_forget_bias_options_reach_the_layer(cell):
    if cell.endswith("rnn"):
        model = make_model(cell, cell_options={"activation": "relu"}, dtype="float32")
        hidden, _ = model.forward_stack.unroll(nd.ones((3, 1, VOCABULARY)) * 5, model.begin_state(1), 3)
        assert hidden.max().asscalar() > 1  # tanh could not
    elif cell.endswith("lstm"):
        wanted = seqlm.LanguageSettings(cell=cell, hidden_size=HIDDEN, cell_options={"forget_bias": 2.5})
        components = Components.choose(wanted, seqlm.installed_plugins())
        model = build_language_network(
            LanguageArchitecture.choose(wanted, cell == "bilstm", VOCABULARY), components.cell
        )
        initialize(model, 1, mx.cpu())
        bias = weights_of(model)["forward_stack.0.i2h_bias"]
        np.testing.assert_array_equal(bias, np.repeat([0, 2.5, 0, 0], HIDDEN))
    else:
        with pytest.raises(seqlm.UsageError, match="has no options"):
            make_model(cell, cell_options={"activation": "relu"})


@pytest.mark.parametrize("cell", seqlm.installed_plugins().cells.names())
@pytest.mark.parametrize("layers", [1, 3])
def test_no_prediction_sees_its_own_target(cell, layers):
    model = make_model(cell, layers=layers)
    for t in range(TIME):
        tokens = window(t)
        moved = tokens.copy()
        moved[t + 1] = (moved[t + 1] + 1) % VOCABULARY
        before, after = (prediction_of(model, w, t) for w in (tokens, moved))
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("cell", seqlm.installed_plugins().cells.names())
def test_only_a_bidirectional_prediction_sees_the_token_after_its_target(cell):
    model = make_model(cell)
    for t in range(TIME - 1):
        tokens = window(t)
        moved = tokens.copy()
        moved[t + 2] = (moved[t + 2] + 1) % VOCABULARY
        before, after = (prediction_of(model, w, t) for w in (tokens, moved))
        difference = np.abs(before - after).max()
        assert difference > 1e-4 if model.backward_stack is not None else difference == 0


def prediction_of(model, tokens, t):
    """Return the losses that prediction ``t`` would give to every token as its target: all that it says."""
    rows = []
    for target in range(VOCABULARY):
        # Only what is predicted is replaced, not what is read.
        losses, _ = losses_of(model, tokens, hybridize=False, targets=np.full((TIME, BATCH), target))
        rows.append(losses[t].asnumpy())
    return np.stack(rows)


@pytest.mark.parametrize("cell", CELLS)
def test_two_windows_with_carried_state_read_as_one(cell):
    model = make_model(cell, layers=2)
    tokens = np.random.default_rng(5).integers(0, VOCABULARY, (2 * TIME + 1, BATCH))
    left_to_right = np.zeros((2 * TIME, BATCH))
    whole, end = losses_of(model, tokens, pattern=left_to_right)
    first, states = losses_of(model, tokens[: TIME + 1], pattern=left_to_right[:TIME])
    second, end_of_second = losses_of(model, tokens[TIME:], states, pattern=left_to_right[TIME:])
    np.testing.assert_allclose(np.concatenate([first.asnumpy(), second.asnumpy()]), whole.asnumpy(), atol=1e-12)
    np.testing.assert_allclose(end_of_second[-1][0].asnumpy(), end[-1][0].asnumpy(), atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_hybridized_equals_imperative(cell):
    model = make_model(cell, dtype="float32")
    hybridized, _ = losses_of(model, window())
    imperative, _ = losses_of(model, window(), hybridize=False)
    np.testing.assert_allclose(hybridized.asnumpy(), imperative.asnumpy(), rtol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_weights_begin_orthogonal_and_depend_on_the_seed_alone(cell):
    first, again, other = (initial_weights(cell, seed) for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        if name.endswith("h2h_weight"):
            for gate in np.split(array, len(array) // HIDDEN):
                np.testing.assert_allclose(gate @ gate.T, np.eye(HIDDEN), atol=1e-5)
            assert not np.allclose(array, other[name])


def initial_weights(cell, seed):
    wanted = seqlm.LanguageSettings(cell=cell, hidden_size=HIDDEN, layers=2)
    components = Components.choose(wanted, seqlm.installed_plugins())
    architecture = LanguageArchitecture.choose(wanted, components.cell.spec.bidirectional, VOCABULARY)
    model = build_language_network(architecture, components.cell)
    initialize(model, seed, mx.cpu())
    return weights_of(model)
