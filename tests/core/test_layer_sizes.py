"""Layers of unequal sizes: what a user sets, and that trainings with them do all that others do."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sequence_runs
from test_own_cells import plugin, register  # noqa: F401 - a fixture
from test_training import assert_same_runs, interrupt_at, train

import seqlm_core as seqlm
from seqlm_core.native.training import MXNET, available_backends, chosen_backend
from seqlm_core.settings.reading_rules import ReadingRules

ALL_DROPOUT = {
    "input_dropout": 0.1,
    "embedding_dropout": 0.1,
    "layer_dropout": 0.2,
    "output_dropout": 0.2,
    "recurrent_dropout": 0.2,
}


def shapes_of(run, ending):
    return [array.shape for name, array in sorted(run.weights.items()) if name.endswith(ending)]


def test_a_list_of_sizes_says_how_many_layers_there_are():
    settings = seqlm.LanguageSettings(hidden_size=[12, 8, 4])
    assert (settings.layers, settings.hidden_size, settings.hidden_sizes) == (3, (12, 8, 4), (12, 8, 4))
    assert seqlm.LanguageSettings(hidden_size=(12, 8), layers=2).layers == 2
    assert seqlm.SequenceSettings(hidden_size=(12, 8)).layers == 2


def test_one_size_is_that_of_all_layers():
    settings = seqlm.LanguageSettings(hidden_size=512, layers=2)
    assert (settings.hidden_size, settings.hidden_sizes) == (512, (512, 512))
    assert seqlm.LanguageSettings().layers == 1
    assert seqlm.LanguageSettings(hidden_size=(512, 512)) == settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"hidden_size": (8, 4), "layers": 3}, "hidden_size: has 2 sizes, and `layers` is 3"),
        ({"hidden_size": (8, 4), "layers": 1}, "hidden_size: has 2 sizes, and `layers` is 1"),
        ({"hidden_size": ()}, "hidden_size: must be a whole number, or whole numbers for each layer, not ()"),
        ({"hidden_size": (8, 4.0)}, "hidden_size: must be a whole number, or whole numbers for each layer, not 4.0"),
        ({"hidden_size": "8,4"}, "hidden_size: must be a whole number, or whole numbers for each layer, not '8,4'"),
        ({"hidden_size": (8, 0)}, "hidden_size: must be at least 1, not 0"),
        ({"hidden_size": (8, 2**16 + 1)}, "hidden_size: must be at most 65536, not 65537"),
        ({"hidden_size": (8, 4) * 51}, "hidden_size: must have at most 100 sizes, one for each layer, not 102"),
    ],
)
@pytest.mark.parametrize("kind", [seqlm.LanguageSettings, seqlm.SequenceSettings])
def test_sizes_that_cannot_be_used_are_told(kind, given, told):
    with pytest.raises(seqlm.UsageError) as caught:
        kind(**given)
    assert told in str(caught.value)


@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_weights_have_the_sizes_of_their_layers(trained, cell):
    run = trained(cell=cell, hidden_size=(12, 8, 4), embedding_size=6)
    directions = 1 + run.architecture.bidirectional
    gates = 3 if cell == "gru" else 4
    inputs = [(gates * size, channels) for size, channels in ((12, 6), (8, 12), (4, 8))]
    assert shapes_of(run, "i2h_weight") == inputs * directions
    assert shapes_of(run, "h2h_weight") == [(gates * size, size) for size in (12, 8, 4)] * directions
    assert run.weights["head.weight"].shape[1] == 4 * directions


def test_embeddings_are_as_large_as_the_lowest_layer_and_tied_ones_as_the_last(trained):
    assert trained(hidden_size=(12, 8)).settings.embedding_size == 12
    assert trained(hidden_size=(12, 8), tie_weights=True).settings.embedding_size == 8


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_a_resumed_run_equals_an_uninterrupted_one(cell, short_text, tmp_path, monkeypatch):
    settings = {"cell": cell, "hidden_size": [12, 8, 4], "average": "ema", **ALL_DROPOUT}
    whole = train(short_text, tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 40)
        with pytest.raises(seqlm.TrainingInterrupted):
            train(short_text, tmp_path / "part", **settings)
    recorded = json.loads((tmp_path / "part" / "config.json").read_text())
    assert recorded["settings"]["hidden_size"] == recorded["architecture"]["hidden_size"] == [12, 8, 4]
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True, hidden_size=(12, 8, 4), layers=3))


@pytest.mark.usefixtures("training_library")
@pytest.mark.parametrize("cell", ["rnn", "bilstm"])
def test_a_training_is_the_same_with_mxnets_operators_to_rounding(cell, short_text, tmp_path):
    best = []
    for backend in (MXNET, available_backends()[-1]):
        with chosen_backend(backend):
            run = train(short_text, tmp_path / backend, cell=cell, hidden_size=(12, 8, 4), max_steps=12, warmup=2)
        best.append(run.history()[-1])
    assert best[0]["training_nats_per_token"] == pytest.approx(best[1]["training_nats_per_token"], rel=1e-4)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_cell_of_others_trains_resumes_and_samples(register, bidirectional, short_text, tmp_path):  # noqa: F811
    register(plugin("leaky", bidirectional))
    settings = {"cell": "leaky", "hidden_size": (12, 8), "schedule": "constant", "recurrent_dropout": 0.2}
    whole = train(short_text, tmp_path / "whole", **{**settings, "max_steps": 20})
    train(short_text, tmp_path / "part", **{**settings, "max_steps": 7})
    part = seqlm.resume(tmp_path / "part", quiet=True, max_steps=20)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, part.weights[name], err_msg=name)
    assert shapes_of(part, "h2h_weight")[:2] == [(12, 12), (8, 8)]
    assert len(part.sample("The ", length=20, seed=1)) == 24


@pytest.mark.parametrize("kinds", [("tokens", "labels"), ("tokens", "label"), ("values", "values")], ids="-".join)
@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_a_sequence_model_trains_resumes_and_predicts(kinds, cell, tmp_path, monkeypatch):
    examples = sequence_runs.learnable(*kinds)
    settings = {"cell": cell, "hidden_size": (7, 4, 3), "layer_dropout": 0.2, "recurrent_dropout": 0.2}
    whole = sequence_runs.train(examples, tmp_path / "whole", *kinds, **settings)
    with monkeypatch.context() as patch:
        sequence_runs.interrupt_at(patch, 6)
        with pytest.raises(seqlm.TrainingInterrupted):
            sequence_runs.train(examples, tmp_path / "part", *kinds, **settings)
    part = seqlm.resume(tmp_path / "part", quiet=True)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, part.weights[name], err_msg=name)
    directions = 1 + part.architecture.bidirectional
    assert [shape[1] for shape in shapes_of(part, "i2h_weight")][1:3] == [7 * directions, 4 * directions]
    assert len(part.predict([example[0] for example in examples])) == len(examples)


def test_a_run_with_its_sizes_can_be_begun_from_and_not_with_others(trained, short_text, tmp_path):
    run = trained(hidden_size=(12, 8), epochs=1)
    begun = train(short_text, tmp_path / "begun", init_from=run.path, hidden_size=[12, 8], max_steps=1)
    assert begun.settings.hidden_size == (12, 8)
    with pytest.raises(seqlm.UsageError, match=r"hidden_size: is \(12, 8\) in the run to begin from"):
        train(short_text, tmp_path / "other", init_from=run.path, hidden_size=[12, 9])
    with pytest.raises(seqlm.UsageError, match=r"hidden_size: was \(12, 8\) when the run began"):
        seqlm.resume(run.path, hidden_size=12)


@pytest.mark.parametrize("recorded", [[12, 9], [12], [12, "8"], [12, 8.0], [], 12, [12, 8, 4]])
def test_a_record_of_other_sizes_is_damage(trained, tmp_path, recorded):
    run = trained(hidden_size=(12, 8), epochs=1)
    config = json.loads((run.path / "config.json").read_text())
    config["architecture"]["hidden_size"] = recorded
    with pytest.raises(ValueError, match="hidden_size"):
        type(run)._checked_architecture(_with_config(run, config))


def _with_config(run, config):
    copy = seqlm.LanguageRun(run.path)
    copy.config = config
    return copy


def test_memory_for_a_cache_is_that_of_the_last_layers_outputs(trained, monkeypatch, short_text):
    monkeypatch.setattr("seqlm_core.evaluation.continuous_cache.physical_memory", lambda: 2**20)
    enough = 2**20 // (2 * 4 * 4 + 3 * 8 * ReadingRules().window)
    wide_below = trained(hidden_size=(64, 4), epochs=1)
    assert wide_below.evaluate(short_text, cache=enough)
    with pytest.raises(seqlm.UsageError, match="this machine has"):
        wide_below.evaluate(short_text, cache=enough + 1)


def test_the_sizes_are_told_when_a_training_begins(short_text, tmp_path, caplog):
    with caplog.at_level("INFO", "seqlm"):
        train(short_text, tmp_path / "run", hidden_size=(12, 8, 4), max_steps=1)
    assert "lstm with 12, 8, 4 units" in caplog.text
