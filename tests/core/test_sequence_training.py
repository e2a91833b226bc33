"""Trainings of sequence models as a whole: what they leave behind, what they learn from, and going on with them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sequence_reference import CELLS, OUTPUTS
from sequence_runs import TOKENS, interrupt_at, learnable, train
from test_own_cells import plugin, register  # noqa: F401 - a fixture
from test_training import assert_same_runs, without_times

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, nd
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.sequences.examples import read_examples
from seqlm_core.storage.checkpoint import load_checkpoint
from seqlm_core.training.extensions.plot import Plot
from seqlm_core.training.tasks.sequences import SequenceLearning

LOSSES = {"labels": "nats_per_label", "label": "nats_per_label", "values": "normalized_squared_error"}
KINDS = [("tokens", "labels"), ("tokens", "label"), ("values", "label"), ("values", "values")]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Leave out what takes half of the time of a small training."""
    monkeypatch.setattr(Plot, "_draw", lambda plot: None)


def epochs_of(run):
    return [record for record in run.history() if record["kind"] == "epoch"]


def kept(run, part, inputs="tokens", outputs="labels"):
    path = run.path / f"{part}-examples.jsonl"
    return read_examples(path, inputs, outputs) if path.exists() else []


def test_a_run_directory_holds_what_it_should(tmp_path, monkeypatch):
    monkeypatch.undo()  # draws
    examples = learnable()
    run = train(examples, tmp_path / "run", char_cell="gru")
    assert {path.name for path in run.path.iterdir()} == {
        "config.json", "encoders.json", "best.safetensors", "last.safetensors", "history.jsonl", "loss.png",
        "training-examples.jsonl", "validation-examples.jsonl",
    }  # fmt: skip
    config = json.loads(run.directory.config.read_text())
    assert config["task"] == "sequence model"
    assert {role: part["name"] for role, part in config["plugins"].items()} == {
        "cell": "bilstm", "char_cell": "gru", "optimizer": "adam",
    }  # fmt: skip
    assert (config["training_sequences"], config["validation_sequences"]) == (15, 5)
    assert [text["path"] for text in config["texts"]["training"]] == ["training-examples.jsonl"]
    assert len(kept(run, "training")) == 15
    assert run.directory.picture.read_bytes().startswith(b"\x89PNG")
    assert [record["epoch"] for record in epochs_of(run)] == [1, 2, 3]
    assert {"training_nats_per_label", "validation_nats_per_label", "validation_accuracy"} < epochs_of(run)[0].keys()


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("cell", CELLS)
def test_the_loss_falls(cell, outputs, tmp_path):
    inputs = "values" if outputs == "values" else "tokens"
    settings = {"cell": cell, "epochs": 9, "learning_rate": 0.05}
    run = train(learnable(inputs, outputs), tmp_path / "run", inputs, outputs, **settings)
    losses = [record[f"training_{LOSSES[outputs]}"] for record in epochs_of(run)]
    assert losses[-1] < 0.8 * losses[0]


RESUMED = {
    "everything": ("tokens", "labels", {"layers": 2, "char_cell": "bigru", "embedding_size": 4, "patience": 2}),
    "sgd": ("tokens", "label", {"cell": "gru", "optimizer": "sgd", "char_cell": "rnn"}),
    "rmsprop": ("values", "values", {"cell": "lstm", "optimizer": "rmsprop", "warmup": 5}),
    "values": ("values", "label", {"cell": "birnn", "checkpoint_every": "2"}),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_run_equals_an_uninterrupted_one(name, tmp_path, monkeypatch):
    inputs, outputs, settings = RESUMED[name]
    settings = {"dropout": 0.3, "log_every": 3, "epochs": 4, **settings}
    examples = [*learnable(inputs, outputs), *([] if outputs == "label" else [([], [])])]
    whole = train(examples, tmp_path / "whole", inputs, outputs, **settings)
    steps = epochs_of(whole)[0]["step"]  # of an epoch
    for done in (1, steps, steps + 2, 3 * steps):
        with monkeypatch.context() as patch:
            interrupt_at(patch, done - 1)
            with pytest.raises(seqlm.TrainingInterrupted, match=rf"interrupted at step {done} and saved; .*/{done}"):
                train(examples, tmp_path / str(done), inputs, outputs, **settings)
        assert_same_runs(whole, seqlm.resume(tmp_path / str(done), quiet=True))


def test_a_run_that_died_at_its_first_step_resumes(tmp_path, monkeypatch):
    whole = train(learnable(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0, signals=2)
        with pytest.raises(KeyboardInterrupt):
            train(learnable(), tmp_path / "part")
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


def test_patience_ends_a_training_also_after_it_was_resumed(tmp_path, monkeypatch):
    contrary = [(["a", "b", "f"], [1, 1, "small"])] * 3
    settings = {"patience": 3, "epochs": 30, "learning_rate": 0.05, "validation": contrary}
    whole = train(learnable(), tmp_path / "whole", **settings)
    best = [record["best"] for record in epochs_of(whole)]
    assert len(best) < 30
    assert best[-4:] == [True, False, False, False]
    with monkeypatch.context() as patch:
        interrupt_at(patch, epochs_of(whole)[-2]["step"] + 1)
        with pytest.raises(seqlm.TrainingInterrupted):
            train(learnable(), tmp_path / "part", **settings)
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path):
    one, again, other = (
        train(learnable(), tmp_path / str(i), seed=seed, dropout=0.2) for i, seed in enumerate([1, 1, 2])
    )
    assert_same_runs(one, again)
    assert without_times(one) != without_times(other)


def test_the_validation_sequences_are_drawn_by_the_seed_and_not_trained_on(tmp_path):
    examples = [([f"t{number}", "a"], ["x", "y"]) for number in range(20)]
    parts = {}
    for seed in (1, 2):
        run = train(examples, tmp_path / str(seed), seed=seed, max_steps=1, min_count=1)
        training, held_out = kept(run, "training"), kept(run, "validation")
        assert (len(training), len(held_out)) == (15, 5)
        assert sorted(training + held_out) == sorted(examples)
        assert [e for e in examples if e in training] == training  # in the order in which they came
        assert set(run.codecs.inputs.vocabulary.tokens[1:]) == {token for tokens, _ in training for token in tokens}
        parts[seed] = held_out
    assert parts[1] != parts[2]
    assert parts[1] != examples[-5:]
    for fraction, validation in ((0.0, None), (0.5, [])):
        run = train(
            examples, tmp_path / str(fraction), validation_fraction=fraction, validation=validation, max_steps=1
        )
        assert kept(run, "training") == examples
        assert "validation_nats_per_label" not in epochs_of(run)[0]


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_the_loss_of_an_epoch_is_the_mean_over_all_predictions(kinds, tmp_path):
    examples = learnable(*kinds)
    run = train(examples, tmp_path / "run", *kinds, epochs=1, learning_rate=1e-12, validation=examples[:7], layers=2)
    (record,), figures = epochs_of(run), run.evaluate(examples)
    assert record["step"] > 1
    assert record[f"training_{LOSSES[kinds[1]]}"] == pytest.approx(figures.loss, rel=1e-5)
    # Batches are of unequal size, so that the mean of their means would be another.
    assert figures.loss != pytest.approx(record[f"validation_{LOSSES[kinds[1]]}"], rel=1e-5)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_validation_finds_what_evaluation_finds(kinds, tmp_path):
    examples = learnable(*kinds)
    run = train(examples[5:], tmp_path / "run", *kinds, validation=examples[:5], learning_rate=0.1, epochs=5)
    _, state = load_checkpoint(run.directory.best)
    figures = run.evaluate(examples[:5]).to_record()
    assert {name: state["record"][name] for name in figures} == figures
    best = [record for record in epochs_of(run) if record["best"]][-1]
    assert run.evaluate(examples[:5]).loss == best[f"validation_{LOSSES[kinds[1]]}"]


@pytest.mark.parametrize("outputs", ["labels", "values"])
def test_what_does_not_count_is_not_trained(outputs, tmp_path):
    examples = learnable("tokens", outputs, count=12)
    idle = TOKENS, [None if outputs == "labels" else math.nan] * len(TOKENS)  # all tokens, so that their order stays
    settings = {"validation": [], "dropout": 0.2}
    one = train(examples, tmp_path / "one", outputs=outputs, **settings)
    two = train([*examples, idle], tmp_path / "two", outputs=outputs, **settings)
    for name, array in one.weights.items():
        np.testing.assert_array_equal(array, two.weights[name])
    assert without_times(one) == without_times(two)


def test_a_validation_part_in_which_nothing_counts_is_none(tmp_path):
    run = train(learnable(), tmp_path / "run", validation=[(["a"], [None]), (["b"], ["never trained"])])
    assert "validation_nats_per_label" not in epochs_of(run)[0]
    assert epochs_of(run)[0]["best"]


def test_a_training_begins_with_the_weights_and_meanings_of_another(tmp_path):
    earlier = train(learnable(), tmp_path / "earlier", char_cell="gru", layers=2)
    examples = [(["a", "never seen"], ["small", "never trained"])] * 8
    settings = {"init_from": earlier.path, "learning_rate": 1e-12, "max_steps": 1}
    run = train(examples, tmp_path / "run", **{**settings, "hidden_size": 6})
    assert run.codecs.to_json() == earlier.codecs.to_json()
    assert run.architecture == earlier.architecture
    for name, array in earlier.weights.items():
        np.testing.assert_allclose(run.weights[name], array, atol=1e-6)
    assert_same_runs(run, seqlm.resume(run.path, quiet=True))
    for refused, message in (
        (lambda out: train(examples, out, layers=3, **settings), "layers: is 2 in the run to begin from"),
        (lambda out: train(learnable("tokens", "label"), out, "tokens", "label", **settings), "maps tokens to labels"),
        (lambda out: train([(["a"], ["never trained"])] * 8, out, **settings), "nothing in the training .* counts"),
    ):
        with pytest.raises(seqlm.UsageError, match=message):
            refused(tmp_path / "no")
        assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("settings", "spoilt", "named"),
    [
        ({"cell": "bigru"}, "encoder.forward_stack.1.h2h_bias", r"outputs of encoder\.1 are"),
        ({"cell": "bigru"}, "encoder.backward_stack.0.i2h_weight", r"outputs of encoder\.0 are"),
        ({"cell": "gru", "char_cell": "birnn"}, "input.encoder.backward_stack.0.i2h_bias", "outputs of input are"),
        ({"cell": "gru"}, "head.weight", r"gradient of head\.bias is"),
    ],
)
def test_detect_anomaly_names_the_layer_that_went_bad(settings, spoilt, named, tmp_path, monkeypatch):
    original = SequenceLearning.loss

    def loss(task, batch):
        if batch.step == 3:
            parameter = unique_parameters(task.network)[spoilt]
            with autograd.pause():
                parameter.set_data(nd.full(parameter.shape, np.nan))
        return original(task, batch)

    monkeypatch.setattr(SequenceLearning, "loss", loss)
    with pytest.raises(seqlm.NonFiniteLossError, match=named + r" not finite at step 4"):
        train(learnable(), tmp_path / "run", layers=2, detect_anomaly=True, **settings)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_one_step_cell_of_others_trains_and_resumes(bidirectional, register, tmp_path, monkeypatch):  # noqa: F811
    register(plugin("leaky", bidirectional))
    settings = {"cell": "leaky", "char_cell": "leaky", "layers": 2, "dropout": 0.2, "epochs": 2}
    whole = train(learnable(), tmp_path / "whole", **settings)
    losses = [record["training_nats_per_label"] for record in epochs_of(whole)]
    assert losses[1] < losses[0]
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        with pytest.raises(seqlm.TrainingInterrupted):
            train(learnable(), tmp_path / "part", **settings)
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


def test_the_best_epoch_is_that_of_the_highest_score_or_of_the_lowest_loss(tmp_path):
    examples = learnable(count=60)
    for best_by, better in (("score", max), ("loss", min)):
        run = train(examples, tmp_path / best_by, best_by=best_by, epochs=9, learning_rate=0.3, seed=4)
        records = epochs_of(run)
        key = "validation_accuracy" if best_by == "score" else "validation_nats_per_label"
        best = better(record[key] for record in records)
        (kept,) = [record for record in records if record["best"]][-1:]
        assert kept[key] == best
        # Of equal scores the lowest loss decides.
        losses = [record["validation_nats_per_label"] for record in records if record[key] == best]
        assert kept["validation_nats_per_label"] == min(losses)
        assert run.evaluate(validation_examples(run)).to_record()[key] == best


def validation_examples(run):
    return read_examples(run.path / "validation-examples.jsonl", "tokens", "labels")


def test_values_have_no_score_to_choose_by():
    with pytest.raises(seqlm.SettingError, match="best_by: cannot be score: values have no score"):
        seqlm.SequenceModel("values", "values", best_by="score")
