"""Recurrent dropout, penalties and weight decay against their formulas; and all of them in resumed trainings."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, mx, nd
from seqlm_core.errors import SettingError
from seqlm_core.model.graphs import WindowLoss
from seqlm_core.model.initialization import initialize, unique_parameters
from seqlm_core.model.penalties import Penalties
from seqlm_core.native.training import MXNET, available_backends, chosen_backend
from seqlm_core.settings.dropout_rates import with_all_rates
from seqlm_core.training.updates import Updates
from seqlm_core.training.weight_dropping import WeightDropping, dropped_weights

ALL = {
    "input_dropout": 0.1,
    "embedding_dropout": 0.1,
    "layer_dropout": 0.2,
    "output_dropout": 0.3,
    "recurrent_dropout": 0.4,
    "activation_penalty": 2.0,
    "temporal_activation_penalty": 1.0,
    "weight_decay": 0.1,
}
SENTENCES = [(text.split(), [word[-1] for word in text.split()]) for text in ["the old king", "a sea at rest"] * 12]


def gradients_of(network, loss):
    """Return the loss of a window of random tokens, and the gradients of its sum."""
    random = np.random.default_rng(2)
    size, time, batch = network.architecture.vocabulary_size, 6, 3
    tokens = nd.array(random.integers(0, size, (time + 1, batch)), dtype="int32")
    with autograd.record():
        losses, _ = loss(
            tokens[:-1],
            tokens[1:],
            network.begin_state(batch),
            None,
            nd.reverse(tokens[2:], axis=0) if network.backward_stack is not None else None,
            network.begin_backward_state(batch),
            None,
            nd.ones((time, batch, 1)) if network.backward_stack is not None else None,
        )
    losses.backward()
    found = {name: p.grad().asnumpy() for name, p in unique_parameters(network).items() if p.grad_req != "null"}
    return losses.asnumpy(), found


@pytest.mark.parametrize("backend", [MXNET, available_backends()[-1]])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "bilstm"])
def test_dropped_weights_are_those_of_a_network_with_such_weights(cell, backend, trained):
    network = trained(cell=cell, layers=2).model
    dropping = WeightDropping(network, 0.5, seed=3)
    masks = dropping.masks(step=7)
    parameters = unique_parameters(network)
    whole = {name: p.data().asnumpy() for name, p in parameters.items()}
    by_name = {name: mask.asnumpy() for name, p in parameters.items() for q, mask in masks if p is q}
    assert sorted(by_name) == sorted(name for name in whole if name.endswith("h2h_weight"))
    with chosen_backend(backend):
        loss = WindowLoss(network, 6)
        with dropped_weights(masks):
            losses, gradients = gradients_of(network, loss)
        gradients = {name: p.grad().asnumpy() for name, p in parameters.items()}
        for name, p in parameters.items():
            np.testing.assert_array_equal(p.data().asnumpy(), whole[name])
        for name, mask in by_name.items():
            parameters[name].set_data(nd.array(whole[name] * mask))
        expected_losses, expected = gradients_of(network, loss)
        for name, value in whole.items():
            parameters[name].set_data(nd.array(value))
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)
    for name, gradient in gradients.items():
        wanted = expected[name] * by_name.get(name, 1)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-6, err_msg=name)


def test_weights_are_whole_again_after_an_error_within_a_step(trained):
    network = trained(cell="gru").model
    before = {name: p.data().asnumpy() for name, p in unique_parameters(network).items()}
    with pytest.raises(KeyError), dropped_weights(WeightDropping(network, 0.5, seed=1).masks(0)):
        raise KeyError
    for name, p in unique_parameters(network).items():
        np.testing.assert_array_equal(p.data().asnumpy(), before[name])


def test_masks_of_weights_have_the_rate_and_differ_by_step_and_layer(trained):
    dropping = WeightDropping(trained(cell="lstm", layers=2, hidden_size=64).model, 0.25, seed=3)
    (_, lower), (_, upper) = dropping.masks(0)
    for mask in (lower, upper):
        values = mask.asnumpy()
        assert set(np.unique(values)) == {0, np.float32(1 / 0.75)}
        assert (values == 0).mean() == pytest.approx(0.25, abs=5 * 0.44 / np.sqrt(values.size))
    np.testing.assert_array_equal(dropping.masks(0)[0][1].asnumpy(), lower.asnumpy())
    for other in (upper, dropping.masks(1)[0][1]):
        assert (other.asnumpy() == lower.asnumpy()).mean() < 0.7


def test_a_cell_without_recurrent_weights_refuses_recurrent_dropout(tmp_path, short_text):
    plugin = tmp_path / "averaging.py"
    plugin.write_text(
        "import seqlm_core as seqlm\n\n\n"
        "def build(input_size, hidden_size, options):\n"
        "    from seqlm_core.mxnet import gluon, mx\n\n"
        "    class Layer(gluon.HybridBlock):\n"
        "        def __init__(self):\n"
        "            super().__init__()\n"
        "            self.dense = gluon.nn.Dense(hidden_size, flatten=False, in_units=input_size)\n\n"
        "        def begin_state(self, batch_size, ctx, dtype):\n"
        "            return []\n\n"
        "        def hybrid_forward(self, F, inputs, states):\n"
        "            return self.dense(inputs), []\n\n"
        "    return Layer()\n\n\n"
        "@seqlm.hookimpl\n"
        "def seqlm_cells():\n"
        '    return seqlm.CellSpec("forgetful", "keeps nothing", build)\n'
    )
    seqlm.installed_plugins.cache_clear()
    try:
        seqlm.load_plugin(plugin)
        with pytest.raises(SettingError, match="needs recurrent weights, and the cell has none called h2h_weight"):
            seqlm.train(short_text, out=tmp_path / "run", cell="forgetful", recurrent_dropout=0.2, quiet=True)
        assert not (tmp_path / "run").exists()
        without = seqlm.train(short_text, out=tmp_path / "run", cell="forgetful", max_steps=1, quiet=True)
        assert without.settings.recurrent_dropout == 0
    finally:
        seqlm.installed_plugins.cache_clear()


@pytest.mark.parametrize("backend", [MXNET, available_backends()[-1]])
def test_penalties_change_gradients_and_not_losses(backend):
    random = np.random.default_rng(1)
    outputs = random.normal(size=(5, 3, 4))
    array, losses = nd.array(outputs), nd.array(random.random((5, 3)))
    weights = random.normal(size=(5, 3))
    array.attach_grad()
    with autograd.record():
        penalized = Penalties(activation=2.0, temporal=3.0).add(mx.nd, losses, array, natively=backend != MXNET)
    penalized.backward(nd.array(weights))
    np.testing.assert_array_equal(penalized.asnumpy(), losses.asnumpy())

    def penalty(h):
        differences = np.diff(h, axis=0, prepend=h[:1])
        return (weights * (2 * h**2 + 3 * differences**2).mean(axis=2)).sum()

    for place in [(0, 0, 0), (2, 1, 3), (4, 2, 1)]:
        step = np.zeros_like(outputs)
        step[place] = 1e-5
        slope = (penalty(outputs + step) - penalty(outputs - step)) / 2e-5
        assert array.grad.asnumpy()[place] == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(
    ("cell", "given", "penalty"),
    [("lstm", {}, 1.0), ("gru", {}, 0.5), ("rnn", {}, 0.0), ("bilstm", {"activation_penalty": 0.0}, 0.0)],
)
def test_a_language_model_is_penalized_as_its_cell_suggests_unless_the_user_says_otherwise(
    cell, given, penalty, trained
):
    assert trained(cell=cell, **given).settings.activation_penalty == penalty


def test_a_sequence_model_is_not_penalized_unless_the_user_says_so():
    assert seqlm.SequenceModel("tokens", "labels", cell="gru").settings.activation_penalty == 0


def test_weight_decay_takes_a_share_of_each_matrix_before_the_update(trained):
    network = trained(cell="gru").model
    initialize(network, 1, mx.cpu())
    parameters = unique_parameters(network)
    before = {name: p.data().asnumpy() for name, p in parameters.items()}
    updates = Updates(parameters, mx.optimizer.create("sgd", learning_rate=0.5), 0.0, weight_decay=0.1)
    for p in parameters.values():
        p.list_grad()[0][:] = 1
    updates.step(0.5)
    for name, p in parameters.items():
        decayed = before[name] * np.float32(1 - 0.5 * 0.1) if before[name].ndim > 1 else before[name]
        np.testing.assert_allclose(p.data().asnumpy(), decayed - 0.5, rtol=1e-6, atol=1e-6)


def last_weights(run):
    arrays = load_file(run.path / "last.safetensors")
    return {name: array for name, array in arrays.items() if name.startswith(("model/", "optimizer/"))}


def assert_same_weights(one, other):
    ours, theirs = last_weights(one), last_weights(other)
    assert sorted(ours) == sorted(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_a_regularized_training_that_is_resumed_equals_an_uninterrupted_one(cell, short_text, tmp_path):
    settings = {
        "cell": cell, "hidden_size": 12, "layers": 2, "sequence_length": 10, "batch_size": 4, "schedule": "constant",
        "epochs": 1, "quiet": True, **ALL,
    }  # fmt: skip
    whole = seqlm.train(short_text, out=tmp_path / "whole", max_steps=14, **settings)
    seqlm.train(short_text, out=tmp_path / "parts", max_steps=5, **settings)
    assert_same_weights(seqlm.resume(tmp_path / "parts", max_steps=14, quiet=True), whole)


def test_a_regularized_tagger_that_is_resumed_equals_an_uninterrupted_one(tmp_path):
    model = seqlm.SequenceModel(
        "tokens", "labels", char_cell="gru", char_hidden_size=4, hidden_size=6, layers=2, batch_size=4, min_count=1,
        schedule="constant", max_steps=9, epochs=40, **ALL,
    )  # fmt: skip
    whole = model.train(SENTENCES, out=tmp_path / "whole", quiet=True)
    shorter = seqlm.SequenceModel(
        "tokens", "labels", char_cell="gru", char_hidden_size=4, hidden_size=6, layers=2, batch_size=4, min_count=1,
        schedule="constant", max_steps=4, epochs=40, **ALL,
    )  # fmt: skip
    shorter.train(SENTENCES, out=tmp_path / "parts", quiet=True)
    assert_same_weights(seqlm.resume(tmp_path / "parts", max_steps=9, quiet=True), whole)


@pytest.mark.parametrize("embedding_size", [0, 8])
@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_the_native_kernels_draw_the_same_masks_as_mxnet(cell, embedding_size, short_text, tmp_path):
    losses = []
    for number, backend in enumerate([MXNET, available_backends()[-1]]):
        with chosen_backend(backend):
            run = seqlm.train(
                short_text, out=tmp_path / str(number), cell=cell, embedding_size=embedding_size, hidden_size=12,
                sequence_length=10, batch_size=4, max_steps=5, log_every=1, warmup=0, quiet=True,
                **{**ALL, "input_dropout": 0.0},
            )  # fmt: skip
        losses.append([r["training_nats_per_token"] for r in run.history() if r["kind"] == "report"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def rates(**given):
    found = with_all_rates(seqlm.LanguageSettings(**given))
    return [getattr(found, name) for name in ALL if name.endswith("dropout")]


def test_dropout_alone_sets_the_rates_that_are_left_open():
    assert rates(dropout=0.0) == [0, 0, 0, 0, 0]
    assert rates(dropout=0.6) == [0, 0, 0.3, 0.3, 0.6]
    assert rates(dropout=0.6, input_dropout=0.1, recurrent_dropout=0.0) == [0.1, 0, 0.3, 0.3, 0]
    assert rates(dropout=0.6, dropout_masks="per-element") == [0.6, 0, 0.6, 0.6, 0]


def test_a_run_records_all_rates(trained):
    settings = trained(dropout=0.2).config["settings"]
    assert settings["recurrent_dropout"] == 0.2
    assert settings["output_dropout"] == 0.1


@pytest.mark.parametrize("given", [{}, {"input_dropout": 0.3}])
def test_inputs_that_are_not_learnt_are_dropped_only_if_asked_for(given, trained):
    run = trained(embedding_size=0, dropout=0.2, dropout_masks="per-element", **given)
    assert run.config["settings"]["input_dropout"] == given.get("input_dropout", 0)


@pytest.mark.parametrize("name", ["activation_penalty", "temporal_activation_penalty"])
def test_a_model_of_one_label_refuses_penalties_on_time_steps(name, tmp_path):
    model = seqlm.SequenceModel("tokens", "label", hidden_size=4, epochs=1, **{name: 1.0})
    with pytest.raises(SettingError, match=f"{name}.*has a single label"):
        model.train([(["a", "b"], "x"), (["c", "d"], "y")] * 8, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [name for name in ALL if name.endswith("dropout")])
@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_rates_outside_their_range_are_refused_by_name(name, rate):
    with pytest.raises(SettingError, match=name):
        seqlm.LanguageSettings(**{name: rate})
