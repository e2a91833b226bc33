"""Updates of those rows of an embedding that a step reads."""

from __future__ import annotations

import numpy as np
import pytest
from test_layer_sizes import ALL_DROPOUT
from test_training import assert_same_runs, interrupt_at, train

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.model.inputs import EmbeddingInput
from seqlm_core.native.training import MXNET, available_backends, chosen_backend
from seqlm_core.storage.checkpoint import load_checkpoint, select
from seqlm_core.training.embedding_rows import EmbeddingRows
from seqlm_core.training.missed_steps import MOST_STEPS
from seqlm_core.training.updates import MISSED_STEPS, Updates

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]
# 5 tokens a step, of the some 40 of the text.
FEW_TOKENS = {"embedding_size": 8, "batch_size": 1, "sequence_length": 5, "max_steps": 25, "warmup": 2}
PLAIN_DESCENT = {"optimizer": "sgd", "optimizer_options": {"momentum": 0.0}, "learning_rate": 0.5}


class Recorder(seqlm.Extension):
    """Keeps the embeddings and the optimizer's states of every step."""

    def __init__(self):
        self.steps = []

    def on_step(self, training):
        arrays = {name: array.copy() for name, array in training.updates.state().items() if "input" in name}
        self.steps.append({**arrays, "weights": training.parameters["input.weight"].data().asnumpy()})


def embedding(tokens=7, size=3):
    block = EmbeddingInput(tokens, size)
    block.initialize(mx.init.Zero())
    block.weight.set_data(nd.array(np.random.default_rng(1).normal(size=(tokens, size))))
    return block


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("documents", ["none", "line"])
def test_plain_descent_is_the_same_as_with_all_rows(cell, documents, short_text, tmp_path):
    settings = {**FEW_TOKENS, **PLAIN_DESCENT, **ALL_DROPOUT, "cell": cell, "documents": documents, "average": "ema"}
    runs = [
        train(short_text, tmp_path / rows, **settings, weight_decay=0.0, embedding_updates=rows)
        for rows in ("all", "read")
    ]
    for name, weights in runs[0].weights.items():
        np.testing.assert_allclose(runs[1].weights[name], weights, rtol=1e-4, atol=1e-5, err_msg=name)


OPTIMIZERS = {
    "momentum": {"optimizer": "sgd", "learning_rate": 0.3},
    "nesterov": {"optimizer": "sgd", "optimizer_options": {"nesterov": True}, "learning_rate": 0.3},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.005},
    "adam": {"optimizer": "adam", "learning_rate": 0.01},
    "much momentum": {"optimizer": "adam", "optimizer_options": {"beta1": 0.98}, "learning_rate": 0.01},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("most_steps", [17, MOST_STEPS])
def test_steps_that_a_row_has_missed_are_made_up_for(optimizer, most_steps, short_text, tmp_path, monkeypatch):
    """Weights and losses are those of a training in which every step updates all rows."""
    monkeypatch.setattr("seqlm_core.training.embedding_rows.MOST_STEPS", most_steps)
    settings = {
        **FEW_TOKENS, **OPTIMIZERS[optimizer], "weight_decay": 0.5, "log_every": 1, "max_steps": 120, "warmup": 20,
        "validate_every": 40, "average": "ema",
    }  # fmt: skip
    runs = [train(short_text, tmp_path / rows, **settings, embedding_updates=rows) for rows in ("all", "read")]
    losses = [[r["training_nats_per_token"] for r in run.history() if r["kind"] == "report"] for run in runs]
    assert len(losses[0]) == 120
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    saved = [load_checkpoint(run.directory.last)[0] for run in runs]
    for name in ("model/input.weight", *(name for name in saved[0] if name.startswith("optimizer/input"))):
        np.testing.assert_allclose(saved[1][name], saved[0][name], rtol=1e-3, atol=2e-5, err_msg=name)


def test_rows_that_are_not_read_are_left_alone_by_an_optimizer_that_seqlm_does_not_know(
    short_text, tmp_path, register_specs
):
    adam = seqlm.installed_plugins().optimizers.get("adam")

    class Adam(mx.optimizer.Adam):
        """Of a class of its own."""

    def build(learning_rate, options):
        return Adam(learning_rate=learning_rate)

    register_specs(seqlm.OptimizerSpec("mine", "another Adam", build, adam.options, elementwise=True))
    recorder = Recorder()
    settings = {**FEW_TOKENS, "optimizer": "mine", "weight_decay": 0.0, "embedding_updates": "read"}
    run = train(short_text, tmp_path / "run", **settings, extensions=[recorder])
    assert len(recorder.steps[0]) == 3  # weights and two states
    for before, after in zip(recorder.steps, recorder.steps[1:]):
        changed = [np.flatnonzero((after[name] != array).any(axis=1)) for name, array in before.items()]
        assert all(1 <= len(rows) <= 5 < len(run.vocabulary) for rows in changed)
        assert set(changed[-1]) >= set.union(*map(set, changed))  # states change only where weights do


@pytest.mark.usefixtures("training_library")
@pytest.mark.parametrize("cell", ["gru", "bilstm"])
@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_a_training_is_the_same_with_mxnets_operators_to_rounding(cell, optimizer, short_text, tmp_path):
    settings = {**FEW_TOKENS, "optimizer": optimizer, "cell": cell, "embedding_updates": "read", "log_every": 1}
    losses = []
    for backend in (MXNET, available_backends()[-1]):
        with chosen_backend(backend):
            run = train(short_text, tmp_path / backend, **settings)
        losses.append([r["training_nats_per_token"] for r in run.history() if r["kind"] == "report"])
    assert len(losses[0]) == 25
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


@pytest.mark.parametrize(("cell", "optimizer"), [("lstm", "adam"), ("bigru", "rmsprop"), ("rnn", "sgd")])
def test_a_resumed_run_equals_an_uninterrupted_one(cell, optimizer, short_text, tmp_path, monkeypatch):
    most_steps = 60
    monkeypatch.setattr("seqlm_core.training.embedding_rows.MOST_STEPS", most_steps)
    settings = {
        **FEW_TOKENS, **ALL_DROPOUT, "cell": cell, "optimizer": optimizer, "weight_decay": 0.1, "average": "ema",
        "max_steps": 2 * most_steps, "embedding_updates": "read",
    }  # fmt: skip
    whole = train(short_text, tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, most_steps + 37)
        with pytest.raises(seqlm.TrainingInterrupted):
            train(short_text, tmp_path / "part", **settings)
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


def test_gradients_are_clipped_by_their_norm_with_those_of_all_other_weights():
    """Plain descent at rate 1 moves the weights by the gradients, whose norm is that of the step, therefore."""
    block = embedding()
    rows = EmbeddingRows(block, most=6)
    other = embedding(2, 5)
    spec = seqlm.installed_plugins().optimizers.get("sgd")
    descent = spec.build(1.0, spec.options(momentum=0.0))
    updates = Updates({"rows": block.weight, "other": other.weight}, descent, 2.0, spec, rows=rows)
    before = [p.data().asnumpy() for p in (block.weight, other.weight)]
    numbers, places = rows.places_of(np.array([[5, 1], [1, 5]]))
    assert places.tolist() == [[1, 0], [0, 1]]
    rows.read(numbers)
    np.testing.assert_array_equal(rows.parameter.data().asnumpy()[:2], before[0][[1, 5]])
    rows.parameter.list_grad()[0][:] = 0
    rows.parameter.list_grad()[0][:2] = 30
    other.weight.list_grad()[0][:] = 40
    updates.step(1.0)
    moved = [b - p.data().asnumpy() for b, p in zip(before, (block.weight, other.weight))]
    assert np.flatnonzero(moved[0].any(axis=1)).tolist() == [1, 5]
    np.testing.assert_allclose(moved[0][1] / moved[1][0, 0], 3 / 4, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(sum((m**2).sum() for m in moved)), 2.0, rtol=1e-5)


def test_checkpoints_have_the_states_of_all_rows(short_text, tmp_path):
    runs = [train(short_text, tmp_path / rows, **FEW_TOKENS, embedding_updates=rows) for rows in ("all", "read")]
    saved = [select(load_checkpoint(run.directory.last)[0], "optimizer/") for run in runs]
    shapes = [{n: array.shape for n, array in arrays.items() if not n.startswith(MISSED_STEPS)} for arrays in saved]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "read"),
        ({"embedding_updates": "all"}, "all"),
        ({"tie_weights": True}, None),
        ({"embedding_size": 0}, None),
        ({"optimizer_options": {"weight_decay": 0.1}}, None),
        ({"optimizer_options": {"beta2": 0.5}}, None),
        ({"optimizer": "unknown"}, None),
    ],
)
def test_rows_are_chosen_for_large_vocabularies_if_they_come_to_the_same(
    settings, expected, short_text, tmp_path, monkeypatch, register_specs
):
    adam = seqlm.installed_plugins().optimizers.get("adam")
    register_specs(seqlm.OptimizerSpec("unknown", "another Adam", adam.build, adam.options))
    monkeypatch.setattr("seqlm_core.sessions.job.LARGE_VOCABULARY", 20)
    run = train(short_text, tmp_path / "run", **{**FEW_TOKENS, **settings})
    assert run.settings.embedding_updates == expected


def test_all_rows_are_updated_of_small_vocabularies(short_text, tmp_path):
    assert train(short_text, tmp_path / "run", **FEW_TOKENS).settings.embedding_updates is None


@pytest.mark.parametrize(
    ("name", "message"),
    [("input.weight", "the outputs of input are"), ("head.weight", r"the gradient of head\.bias is")],
)
def test_what_is_first_not_finite_is_found(name, message, short_text, tmp_path):
    class Breaks(seqlm.Extension):
        def on_step(self, training):
            if training.step == 3:
                training.parameters[name].data()[:] = np.nan

    settings = {**FEW_TOKENS, "embedding_updates": "read", "detect_anomaly": True}
    with pytest.raises(seqlm.NonFiniteLossError, match=f"{message} not finite at step 4"):
        train(short_text, tmp_path / "run", **settings, extensions=[Breaks()])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tie_weights": True}, "embedding_updates: read is of no use with `tie_weights`"),
        ({"embedding_size": 0}, "embedding_updates: read needs embeddings, and this model reads one-hot vectors"),
        ({"embedding_updates": "some"}, "embedding_updates: must be one of all, read"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message, short_text, tmp_path):
    with pytest.raises(seqlm.UsageError, match=message):
        train(short_text, tmp_path / "run", **{"embedding_updates": "read", **settings})


def test_an_optimizer_that_is_not_said_to_be_elementwise_is_refused(short_text, tmp_path, register_specs):
    adam = seqlm.installed_plugins().optimizers.get("adam")
    register_specs(seqlm.OptimizerSpec("mine", "another Adam", adam.build, adam.options))
    with pytest.raises(
        seqlm.UsageError, match="needs an optimizer whose plugin says that it is `elementwise`, and 'mine'"
    ):
        train(short_text, tmp_path / "run", optimizer="mine", embedding_size=8, embedding_updates="read")
    assert train(short_text, tmp_path / "run", optimizer="mine", **FEW_TOKENS).settings.embedding_updates is None
