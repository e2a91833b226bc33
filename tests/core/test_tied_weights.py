"""Embeddings that are the output weights too, of the last layer's size and of others."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from layer_runs import run_by_layers
from test_layer_sizes import ALL_DROPOUT
from test_training import assert_same_runs, interrupt_at, train

import seqlm_core as seqlm
from seqlm_core.native.training import MXNET, available_backends, chosen_backend

PROJECTED = {"tie_weights": True, "hidden_size": (12, 8), "embedding_size": 5}


def shapes_of_head(run):
    return {name: array.shape for name, array in run.weights.items() if name.startswith("head.")}


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_without_an_embedding_size_the_embeddings_fit_the_last_layer(trained, cell):
    run = trained(cell=cell, tie_weights=True, hidden_size=(12, 8))
    tokens = len(run.vocabulary)
    assert run.settings.embedding_size == 8
    assert run.weights["input.weight"].shape == (tokens, 8)
    assert shapes_of_head(run) == {"head.bias": (tokens,)}


@pytest.mark.parametrize(("cell", "directions"), [("lstm", 1), ("bigru", 2)])
def test_embeddings_of_another_size_are_tied_by_a_projection(trained, cell, directions):
    run = trained(cell=cell, **PROJECTED)
    tokens = len(run.vocabulary)
    assert run.weights["input.weight"].shape == (tokens, 5)
    assert shapes_of_head(run) == {
        "head.bias": (tokens,),
        "head.projection_bias": (5,),
        "head.projection_weight": (5, 8 * directions),
    }


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_a_resumed_run_equals_an_uninterrupted_one(cell, short_text, tmp_path, monkeypatch):
    settings = {"cell": cell, **PROJECTED, **ALL_DROPOUT, "average": "ema", "temporal_activation_penalty": 0.1}
    whole = train(short_text, tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 40)
        with pytest.raises(seqlm.TrainingInterrupted):
            train(short_text, tmp_path / "part", **settings)
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


@pytest.mark.usefixtures("training_library")
@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_a_training_is_the_same_with_mxnets_operators_to_rounding(cell, short_text, tmp_path):
    losses = []
    for backend in (MXNET, available_backends()[-1]):
        with chosen_backend(backend):
            run = train(short_text, tmp_path / backend, cell=cell, **PROJECTED, max_steps=12, warmup=2, log_every=1)
        losses.append([r["training_nats_per_token"] for r in run.history() if r["kind"] == "report"])
    assert len(losses[0]) == 12
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_texts_are_the_same_however_they_are_made(trained, cell, monkeypatch):
    path = trained(cell=cell, **PROJECTED).path
    natively = seqlm.LanguageRun(path).sample("The ", length=60, seed=1)
    monkeypatch.setenv("SEQLM_NATIVE", "0")
    by_layers = run_by_layers(path)
    assert seqlm.LanguageRun(path).sample("The ", length=60, seed=1) == natively
    assert by_layers.sample("The ", length=60, seed=1) == natively


def test_a_gap_is_filled_as_by_the_layers(trained):
    path = trained(cell="bigru", **PROJECTED).path
    runs = seqlm.LanguageRun(path), run_by_layers(path)
    found = [run.infill("The c[...]t sat", mark="[...]")[0].text for run in runs]
    assert found[0] == found[1]


def test_a_checkpoint_without_the_projection_is_told(trained, tmp_path):
    run = trained(**PROJECTED)
    with pytest.raises(ValueError, match=r"head\.projection_weight"):
        run._check_parameters({name: a for name, a in run.weights.items() if name != "head.projection_weight"})


@pytest.mark.parametrize(("cell", "learnt"), [("lstm", 0.7), ("bigru", 0.9)])
def test_a_model_with_a_projection_begins_at_the_frequencies_and_soon_leaves_them(cell, learnt, short_text, tmp_path):
    shares = np.array(list(Counter(short_text.read_text()).values())) / 6000
    entropy = -(shares * np.log(shares)).sum()
    rates = {"dropout": 0, "warmup": 0, "max_steps": 40, "epochs": 9, "log_every": 1}
    run = train(short_text, tmp_path / "run", cell=cell, tie_weights=True, embedding_size=64, **rates)
    losses = [r["training_nats_per_token"] for r in run.history() if r["kind"] == "report"]
    assert abs(losses[0] - entropy) < 0.1  # 0.4 and 1.6 with a projection of the usual size
    assert losses[-1] < entropy - learnt  # less 0.37 and 0.78 with embeddings as small as other tied ones


def test_tied_weights_need_embeddings():
    with pytest.raises(seqlm.UsageError, match="tie_weights: needs embeddings, and with `embedding_size` 0"):
        seqlm.LanguageSettings(tie_weights=True, embedding_size=0)
