"""Figures on a text, against the NumPy reference reading the same text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from reference_model import ReferenceModel
from test_numbers import VOCABULARY, make_model

import seqlm_core as seqlm
from seqlm_core.evaluation.language import LanguageEvaluator
from seqlm_core.model.build import weights_of
from seqlm_core.model.graph_windows import GraphWindows
from seqlm_core.reading.tokenized_text import TokenizedText
from seqlm_core.stepwise.language_model import StepLanguageModel
from seqlm_core.stepwise.windows import StepWindows

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]


NETWORKS = pytest.mark.parametrize("network_of", [GraphWindows, lambda model: by_steps(model)], ids=["graphs", "steps"])


def by_steps(model):
    """Return the same model in NumPy."""
    name = model.forward_stack.layers[0].seqlm_spec.name
    spec = seqlm.installed_plugins().cells.get(name)
    return StepWindows(StepLanguageModel(model.architecture, spec, spec.options(), weights_of(model)))


def text_of(length, seed=0):
    ids = np.random.default_rng(seed).integers(0, VOCABULARY, length).astype(np.int32)
    return TokenizedText(ids, characters=3 * (length - 1), unknown_tokens=0)


def reference(model, cell):
    return ReferenceModel(cell, model.architecture, weights_of(model))


@NETWORKS
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("length", [2, 3, 8, 30, 31])
def test_one_stream_gives_the_likelihood_of_the_text(cell, length, network_of):
    model = make_model(cell)
    text = text_of(length)
    evaluation = LanguageEvaluator(network_of(model), text, sequence_length=7, batch_size=1).evaluate()
    losses, _ = reference(model, cell).window_losses(text.ids)
    assert evaluation.nats_per_token == pytest.approx(losses.mean(), abs=1e-10)
    assert evaluation.perplexity == pytest.approx(math.exp(losses.mean()))
    assert evaluation.bits_per_character == pytest.approx(losses.sum() / math.log(2) / (3 * (length - 1)))
    assert evaluation.tokens == length - 1


@NETWORKS
@pytest.mark.parametrize("cell", ["gru", "bilstm"])
@pytest.mark.parametrize("length", [9, 40, 41, 57])
def test_each_stream_reads_a_window_ahead_and_every_token_counts_once(cell, length, network_of):
    model = make_model(cell)
    text = text_of(length)
    evaluator = LanguageEvaluator(network_of(model), text, sequence_length=4, batch_size=3)
    expected = {}
    for b, start in enumerate(evaluator.starts):
        losses, _ = reference(model, cell).window_losses(text.ids[start : start + evaluator.steps + 1])
        for step, loss in enumerate(losses):
            if b == 0 or step >= 4:
                assert start + step not in expected
                expected[start + step] = loss
    assert sorted(expected) == list(range(length - 1))
    assert evaluator.evaluate().nats_per_token == pytest.approx(np.mean(list(expected.values())), abs=1e-10)


@NETWORKS
@pytest.mark.parametrize("cell", ["birnn", "bigru", "bilstm"])
@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize(("length", "batch_size"), [(2, 1), (3, 1), (5, 2), (30, 1), (41, 1)])
def test_both_sides_gives_every_position_the_same_right_context(cell, tie_weights, length, batch_size, network_of):
    model = make_model(cell, tie_weights=tie_weights)
    text = text_of(length)
    evaluator = LanguageEvaluator(network_of(model), text, sequence_length=8, batch_size=batch_size)
    model_in_numpy = reference(model, cell)
    ids = text.ids
    left, _ = model_in_numpy.read("forward", ids[:-1], model_in_numpy.begin())
    losses = []
    for t in range(length - 1):
        following = ids[t + 2 : t + 2 + 4][::-1]
        read = model_in_numpy.read("backward", following, model_in_numpy.begin())[0]
        losses.append(-model_in_numpy.log_probabilities(left[t], read[-1] if read else None)[ids[t + 1]])
    assert evaluator.evaluate().both_sides_nats_per_token == pytest.approx(np.mean(losses), abs=1e-10)


def test_unidirectional_models_have_no_both_sides_figure():
    evaluation = LanguageEvaluator(GraphWindows(make_model("lstm")), text_of(20), 5, 2).evaluate()
    assert evaluation.both_sides_nats_per_token is None
    assert "both_sides_nats_per_token" not in evaluation.to_json()


def test_a_single_token_is_refused():
    with pytest.raises(seqlm.TextError, match="at least 2"):
        LanguageEvaluator(GraphWindows(make_model("lstm")), text_of(1), 5, 2)


def test_validation_during_training_is_the_evaluate_command_of_the_same_text(trained, short_text, tmp_path):
    validation = tmp_path / "validation.txt"
    validation.write_text(short_text.read_text()[-600:])
    run = trained(cell="bigru", epochs=1)
    (evaluation,) = run.evaluate(validation)
    recorded = run.history()[-1]
    assert evaluation.nats_per_token == pytest.approx(recorded["validation_nats_per_token"], rel=1e-6)
    assert evaluation.both_sides_nats_per_token == pytest.approx(recorded["both_sides_nats_per_token"], rel=1e-6)
