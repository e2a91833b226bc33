"""The adaptive softmax: the same probabilities however they are computed, in training, figures and texts."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from layer_runs import run_by_layers
from test_layer_sizes import ALL_DROPOUT
from test_training import assert_same_runs, interrupt_at, train

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.model.adaptive_head import AdaptiveHead
from seqlm_core.model.clusters import Cluster, chosen_cutoffs
from seqlm_core.model.initialization import initialize, unique_parameters
from seqlm_core.native.training import MXNET, available_backends, chosen_backend

ADAPTIVE = {"output_layer": "adaptive", "embedding_size": 9}
MODELS = {
    "untied": ADAPTIVE,
    "tied": {**ADAPTIVE, "tie_weights": True, "hidden_size": (12, 9)},
    "tied by a projection": {**ADAPTIVE, "tie_weights": True, "hidden_size": (12, 8)},
}
CELLS = ["lstm", "bigru"]
models = pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)


@pytest.mark.parametrize("cell", CELLS)
def test_rare_tokens_are_predicted_from_shorter_vectors(trained, cell):
    run = trained(cell=cell, **ADAPTIVE, hidden_size=32)
    tokens, width = len(run.vocabulary), 64 if cell == "bigru" else 32
    first, second = run.architecture.cutoffs
    assert (first, second) == chosen_cutoffs(tokens) == (tokens // 25, tokens // 5)
    assert {name: array.shape for name, array in run.weights.items() if name.startswith("head.")} == {
        "head.weight": (first + 2, width),
        "head.bias": (first + 2,),
        "head.cluster0.weight": (second - first, width // 4),
        "head.cluster0.bias": (second - first,),
        "head.cluster0.projection_weight": (width // 4, width),
        "head.cluster0.projection_bias": (width // 4,),
        "head.cluster1.weight": (tokens - second, width // 16),
        "head.cluster1.bias": (tokens - second,),
        "head.cluster1.projection_weight": (width // 16, width),
        "head.cluster1.projection_bias": (width // 16,),
    }


def probabilities(weights, hidden, cutoffs):
    """Compute log-probabilities by the formula, one token after the other."""
    scores = hidden @ weights["weight"].T + weights["bias"]
    first = scores - np.log(np.exp(scores).sum())
    found = list(first[: cutoffs[0]])
    for number in range(len(cutoffs)):
        within = {name.split(".")[1]: w for name, w in weights.items() if name.startswith(f"cluster{number}.")}
        vector = within["projection_weight"] @ hidden + within["projection_bias"]
        of_tokens = np.exp(within["weight"] @ vector + within["bias"])
        found += [first[cutoffs[0] + number] + math.log(p / of_tokens.sum()) for p in of_tokens]
    return np.array(found)


def test_a_tokens_probability_is_its_clusters_times_its_own_within():
    head = AdaptiveHead(20, 8, [Cluster(4, 10, 2), Cluster(10, 20, 1)])
    initialize(head, 3, mx.cpu())
    random = np.random.default_rng(1)
    for parameter in unique_parameters(head).values():
        parameter.set_data(nd.array(random.normal(size=parameter.shape)))
    weights = {name: p.data().asnumpy().astype(np.float64) for name, p in unique_parameters(head).items()}
    hidden = random.normal(size=(5, 8)).astype(np.float32)
    found = head.log_probabilities(nd.array(hidden)).asnumpy()
    for row, vector in zip(found, hidden.astype(np.float64)):
        np.testing.assert_allclose(row, probabilities(weights, vector, (4, 10)), atol=1e-4)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-5)
    targets = nd.array(random.integers(0, 20, 5), dtype="int32")
    for backend in available_backends():
        with chosen_backend(backend):
            losses = head.loss(nd.array(hidden), targets).asnumpy()
        np.testing.assert_allclose(losses, -found[range(5), targets.asnumpy()], atol=1e-4)


def test_it_begins_at_the_frequencies():
    head = AdaptiveHead(20, 8, [Cluster(4, 10, 2), Cluster(10, 20, 1)])
    initialize(head, 3, mx.cpu())
    counts = np.array([0, *range(40, 21, -1)], dtype=np.float64)
    head.predict_frequencies(counts)
    found = np.exp(head.log_probabilities(nd.zeros((1, 8))).asnumpy()[0])
    np.testing.assert_allclose(found, counts / counts.sum(), rtol=1e-4, atol=1e-12)


@pytest.mark.usefixtures("training_library")
@models
@pytest.mark.parametrize("cell", CELLS)
def test_a_training_is_the_same_with_mxnets_operators_to_rounding(cell, settings, short_text, tmp_path):
    losses = []
    for backend in (MXNET, available_backends()[-1]):
        with chosen_backend(backend):
            run = train(short_text, tmp_path / backend, cell=cell, **settings, max_steps=12, warmup=2, log_every=1)
        losses.append([r["training_nats_per_token"] for r in run.history() if r["kind"] == "report"])
        (evaluated,) = run.evaluate(short_text)
        losses[-1].append(evaluated.nats_per_token)
    assert len(losses[0]) == 13
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@models
def test_a_resumed_run_equals_an_uninterrupted_one(settings, short_text, tmp_path, monkeypatch):
    settings = {"cell": "lstm", **settings, **ALL_DROPOUT, "average": "ema", "temporal_activation_penalty": 0.1}
    whole = train(short_text, tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 40)
        with pytest.raises(seqlm.TrainingInterrupted):
            train(short_text, tmp_path / "part", **settings)
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


@models
@pytest.mark.parametrize("cell", CELLS)
def test_texts_are_the_same_however_they_are_made(trained, cell, settings, monkeypatch):
    path = trained(cell=cell, **settings).path
    wanted = {"length": 60, "seed": 1, "temperature": 0.9, "top_p": 0.95}
    natively = seqlm.LanguageRun(path).generate("The ", **wanted)[0]
    monkeypatch.setenv("SEQLM_NATIVE", "0")
    for run in (seqlm.LanguageRun(path), run_by_layers(path)):
        text = run.generate("The ", **wanted)[0]
        assert text.text == natively.text
        np.testing.assert_allclose(text.log_probabilities, natively.log_probabilities, atol=1e-4)


@models
def test_what_is_scored_is_what_is_evaluated(trained, settings, short_text):
    run = trained(cell="lstm", **settings)
    (evaluated,) = run.evaluate(short_text)
    surprisals = [token.bits for token in run.score(short_text, per="token") if token.bits is not None]
    np.testing.assert_allclose(np.mean(surprisals) * math.log(2), evaluated.nats_per_token, rtol=2e-2)
    (adapted,) = run.evaluate(short_text, adapt=True, cache=20)
    assert adapted.nats_per_token < evaluated.nats_per_token


def test_a_gap_is_filled_as_by_the_layers(trained):
    path = trained(cell="bigru", **ADAPTIVE).path
    runs = seqlm.LanguageRun(path), run_by_layers(path)
    found = [run.infill("The c[...]t sat", mark="[...]")[0].text for run in runs]
    assert found[0] == found[1]


def test_a_model_learns_as_with_a_softmax(short_text, tmp_path):
    rates = {"max_steps": 60, "epochs": 9, "hidden_size": 64, "dropout": 0, "embedding_size": 32}
    losses = [
        train(short_text, tmp_path / layer, output_layer=layer, **rates).history()[-1]["training_nats_per_token"]
        for layer in ("softmax", "adaptive")
    ]
    shares = np.array(list(Counter(short_text.read_text()).values())) / 6000
    assert losses[1] < -(shares * np.log(shares)).sum() - 0.4
    assert losses[1] < losses[0] + 0.3


def test_a_small_vocabulary_has_no_rare_tokens(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("abcdefgh " * 100)
    with pytest.raises(seqlm.UsageError, match="output_layer: adaptive needs at least 50 entries"):
        seqlm.train(text, out=tmp_path / "run", output_layer="adaptive", quiet=True)


def test_clusters_that_a_checkpoint_does_not_have_are_told(trained):
    run = trained(cell="lstm", **ADAPTIVE)
    with pytest.raises(ValueError, match=r"head\.cluster1\.bias"):
        run._check_parameters({name: a for name, a in run.weights.items() if name != "head.cluster1.bias"})
