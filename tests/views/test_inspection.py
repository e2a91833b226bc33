"""What a language model makes of each token of a text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.evaluation.text_features import FEATURES, correlation, following_units

TEXT = 'The rain "fell (softly)\non the roof."\n\nNobody heard 12 drops.\n'


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def test_surprisals_are_those_of_scoring(language_run, text):
    inspection = language_run.inspect(text)
    scored = list(language_run.score(text, per="token"))
    assert [token.token for token in inspection.tokens] == [token.token for token in scored]
    for token, other in zip(inspection.tokens, scored):
        assert (token.left is None) == (other.bits is None)
        assert token.left is None or token.left.bits == pytest.approx(other.bits, abs=1e-9)
        assert token.known == other.known


def test_the_means_are_the_figures_of_an_evaluation(two_sided_run, short_text):
    inspection = two_sided_run.inspect(short_text, limit=10_000)
    (figures,) = two_sided_run.evaluate(short_text)
    assert inspection.bits * math.log(2) == pytest.approx(figures.nats_per_token, rel=1e-5)
    assert inspection.both_sides_bits * math.log(2) == pytest.approx(figures.both_sides_nats_per_token, rel=1e-5)


def test_a_model_without_a_step_function_is_read_by_its_layers(two_sided_run, text):
    from layer_runs import run_by_layers

    by_layers, by_steps = (run.inspect(text) for run in (run_by_layers(two_sided_run.path), two_sided_run))
    assert by_layers.both_sides_bits == pytest.approx(by_steps.both_sides_bits, rel=1e-5)
    for name, values in by_steps.activations.items():
        np.testing.assert_allclose(by_layers.activations[name], values, atol=1e-5)


def test_documents_are_read_from_a_fresh_state(short_text, tmp_path):
    settings = {**SMALL, "cell": "bigru", "max_steps": 5, "documents": "line"}
    run = seqlm.train(short_text, out=tmp_path / "lines", quiet=True, **settings)
    (figures,) = run.evaluate(short_text)
    inspection = run.inspect(short_text, limit=10_000)
    assert inspection.bits * math.log(2) == pytest.approx(figures.nats_per_token, rel=1e-5)
    assert inspection.both_sides_bits * math.log(2) == pytest.approx(figures.both_sides_nats_per_token, rel=1e-5)


def test_the_likeliest_tokens_are_those_that_generation_knows(language_run, text):
    inspection = language_run.inspect(text)
    for place in (1, 7, 30):
        expected = language_run.next_tokens(TEXT[:place], count=5)
        found = inspection.tokens[place].left.alternatives
        assert [token for token, _ in found] == [each.token for each in expected]
        assert [p for _, p in found] == pytest.approx([each.probability for each in expected], rel=1e-6)


def test_the_pieces_of_the_tokens_are_the_text(short_text, tmp_path):
    run = seqlm.train(short_text, out=tmp_path / "words", quiet=True, **{**SMALL, "tokenizer": "word", "max_steps": 2})
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    assert "".join(token.text for token in run.inspect(path).tokens) == TEXT


def test_the_output_of_a_unit_is_what_the_network_computes(language_run, text):
    """The activations of the last layer, times the output weights, are the log-probabilities."""
    inspection = language_run.inspect(text)
    outputs = inspection.activations["layer 2, output"].astype(np.float64)
    weights = language_run.weights
    scores = outputs @ weights["head.weight"].T + weights["head.bias"]
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    ids = language_run.vocabulary.ids(list(TEXT))
    expected = -np.log2(probabilities[np.arange(len(TEXT) - 1), ids[1:]])
    assert [token.left.bits for token in inspection.tokens[1:]] == pytest.approx(expected, rel=1e-5)


def test_a_limit_cuts_the_text(language_run, text):
    assert len(language_run.inspect(text, limit=7).tokens) == 7
    with pytest.raises(seqlm.SettingError, match="limit"):
        language_run.inspect(text, limit=0)


@pytest.mark.parametrize(
    ("feature", "marks"),
    [
        ("quotations", '         xxxxxxxxxxxxxxxxxxxxxxxxxxxx                         '),
        ("capital letters", "x                                       x                      "),
        ("digits", "                                                    xx          "),
        ("brackets", "                xxxxxxxx                                       "),
    ],
)  # fmt: skip
def test_properties_of_a_text_hold_where_they_should(feature, marks):
    values = FEATURES[feature](TEXT)
    expected = {i for i, mark in enumerate(marks) if mark == "x"}
    if feature == "quotations":
        expected = set(range(TEXT.index('"'), TEXT.rindex('"')))
    if feature == "brackets":
        expected = set(range(TEXT.index("("), TEXT.index(")")))
    if feature == "digits":
        expected = {TEXT.index("1"), TEXT.index("2")}
    if feature == "capital letters":
        expected = {0, TEXT.index("N")}
    assert {place for place, value in enumerate(values) if value} == expected


def test_places_are_counted_from_the_last_border():
    assert FEATURES["the place in the line"]("ab\ncd") == [1, 2, 0, 1, 2]
    assert FEATURES["the place in the word"]("ab c,") == [1, 2, 0, 1, 0]
    assert FEATURES["the indentation"]("  x y\n\tz") == [1, 2, 2, 2, 2, 0, 1, 1]


def test_a_correlation_is_pearsons():
    random = np.random.default_rng(3)
    columns, values = random.normal(size=(50, 4)), random.normal(size=50)
    columns[:, 3] = 1.5
    expected = [np.corrcoef(columns[:, unit], values)[0, 1] for unit in range(3)]
    np.testing.assert_allclose(correlation(columns, values), [*expected, 0.0], rtol=1e-10)


def test_a_unit_that_is_made_to_follow_quotations_is_found_first():
    random = np.random.default_rng(4)
    texts = list('He said "yes it is" and left. "No", she said.\n' * 20)
    activations = random.normal(size=(len(texts), 12))
    activations[:, 7] = -2.0 * np.array(FEATURES["quotations"]("".join(texts))) + random.normal(0, 0.1, len(texts))
    best = following_units(texts, {"layer 1, output": activations})[0]
    assert (best.feature, best.layer, best.unit) == ("quotations", "layer 1, output", 7)
    assert best.correlation < -0.95
