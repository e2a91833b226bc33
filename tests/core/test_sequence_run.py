"""Predictions and figures of trained sequence models, against what can be computed from their probabilities."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from sequence_runs import TOKENS, learnable, train

import seqlm_core as seqlm
from seqlm_core.evaluation.scores import chunk_scores
from seqlm_core.training.extensions.plot import Plot

KINDS = [("tokens", "labels"), ("tokens", "label"), ("values", "labels"), ("values", "values")]
every_kind = pytest.mark.parametrize("kinds", KINDS, ids="-".join)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Return a function that trains a model of some kinds, once."""
    runs = {}

    def run(inputs, outputs):
        if (inputs, outputs) not in runs:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Plot, "_draw", lambda plot: None)
                out = tmp_path_factory.mktemp("run") / "run"
                runs[inputs, outputs] = train(learnable(inputs, outputs), out, inputs, outputs, learning_rate=0.05)
        return runs[inputs, outputs]

    return run


@every_kind
def test_predictions_depend_neither_on_order_nor_on_company(kinds, run_of):
    run = run_of(*kinds)
    sequences = [sequence for sequence, _ in learnable(*kinds, seed=5)]
    together = run.predict(sequences)
    order = np.random.default_rng(0).permutation(len(sequences))
    for place, again in zip(order, run.predict([sequences[i] for i in order])):
        (alone,) = run.predict([sequences[place]])
        for found in (again, alone):
            if kinds[1] == "values":
                np.testing.assert_allclose(found, together[place], rtol=1e-5, atol=1e-5)
            else:
                assert found == together[place]


@pytest.mark.parametrize("kinds", KINDS[:3], ids="-".join)
def test_the_predicted_label_is_the_most_probable_one(kinds, run_of):
    run = run_of(*kinds)
    assert sorted(run.labels, key=str) == [1, "small"]
    sequences = [sequence for sequence, _ in learnable(*kinds, seed=5)]
    for sequence, predicted, probabilities in zip(sequences, run.predict(sequences), run.probabilities(sequences)):
        assert probabilities.shape == ((2,) if kinds[1] == "label" else (len(sequence), 2))
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
        best = [run.labels[i] for i in np.atleast_2d(probabilities).argmax(axis=-1)]
        assert predicted == (best[0] if kinds[1] == "label" else best)


def test_values_are_predicted_in_their_own_units(run_of, tmp_path):
    run = run_of("values", "values")
    sequences = [sequence for sequence, _ in learnable("values", "values", seed=5)]
    assert [array.shape for array in run.predict(sequences)] == [(len(sequence),) for sequence in sequences]
    assert np.concatenate(run.predict(sequences)).mean() == pytest.approx(5, abs=2)  # of two numbers from 0 to 5
    pairs = [(sequence, sequence * [1, 1000]) for sequence in sequences]
    two = train(pairs, tmp_path / "run", "values", "values", max_steps=1).predict([*sequences, []])
    assert [array.shape for array in two] == [(len(sequence), 2) for sequence in [*sequences, []]]
    assert two[0].dtype == np.float64


@every_kind
def test_empty_sequences_are_predicted_as_such(kinds, run_of):
    run, (sequence, _) = run_of(*kinds), learnable(*kinds)[0]
    if kinds[1] == "label":
        with pytest.raises(seqlm.UsageError, match="sequence 2 is empty"):
            run.predict([sequence, []])
        return
    predicted = run.predict([[], sequence, []])
    assert [len(row) for row in predicted] == [0, len(sequence), 0]
    np.testing.assert_array_equal(predicted[1], run.predict([sequence])[0])
    assert run.predict([]) == []
    if kinds[1] == "labels":
        assert predicted[0] == []
        assert run.probabilities([[]])[0].shape == (0, 2)


@every_kind
def test_a_sequence_of_another_kind_is_refused(kinds, run_of):
    run = run_of(*kinds)
    with pytest.raises(seqlm.UsageError):
        run.predict([[1.5, "a"]])
    if kinds[0] == "values":
        with pytest.raises(seqlm.UsageError, match="1 channels, and the model has 2"):
            run.predict([[1.0, 2.0]])
    if kinds[1] == "values":
        with pytest.raises(seqlm.UsageError, match="predicts values, not labels"):
            run.probabilities([])


@pytest.mark.parametrize("kinds", KINDS[:3], ids="-".join)
def test_figures_of_labels_are_those_of_the_probabilities(kinds, run_of, caplog):
    run = run_of(*kinds)
    examples = learnable(*kinds, seed=6)
    strange = "never trained" if kinds[1] == "label" else ["never trained"] * len(examples[0][0])
    examples[0] = examples[0][0], strange
    with caplog.at_level(logging.WARNING):
        figures = run.evaluate(examples)
    losses, right, unknown, total = [], [], 0, 0
    probabilities = run.probabilities([sequence for sequence, _ in examples])
    for (_, wanted), rows in zip(examples, probabilities):
        for label, row in zip([wanted] if kinds[1] == "label" else wanted, np.atleast_2d(rows)):
            if label is None:
                continue
            total += 1
            right.append(label == run.labels[row.argmax()])
            if label in run.labels:
                losses.append(-math.log(row[run.labels.index(label)]))
            else:
                unknown += 1
    assert unknown
    assert f"{unknown} of {total} labels were not in the training" in caplog.text
    assert (figures.predictions, figures.unknown_labels) == (total, unknown)
    assert figures.nats_per_label == pytest.approx(np.mean(losses), rel=1e-5)
    assert figures.accuracy == pytest.approx(np.mean(right))
    assert figures.labels["never trained"].support == unknown
    assert sum(score.support for score in figures.labels.values()) == total
    assert figures.chunks is None


def test_labels_in_a_chunk_scheme_are_scored_as_chunks_too(tmp_path):
    names = {"small": "B-X", 1: "I-X", None: None}
    examples = [(tokens, [names[label] for label in labels]) for tokens, labels in learnable()]
    run = train(examples, tmp_path / "run", learning_rate=0.05)
    true = [labels for _, labels in examples]
    assert run.evaluate(examples).chunks == chunk_scores(true, run.predict([tokens for tokens, _ in examples]))
    assert "validation_chunk_f1" in run.history()[-1]


def test_figures_of_values_are_those_of_the_predictions(run_of):
    run = run_of("values", "values")
    examples = [*learnable("values", "values", seed=6), ([], [])]
    figures = run.evaluate(examples)
    wanted = np.concatenate([values for _, values in examples])
    errors = np.concatenate(run.predict([sequence for sequence, _ in examples])) - wanted
    known = ~np.isnan(wanted)
    assert figures.predictions == known.sum() < len(known)
    assert figures.root_mean_squared_error == pytest.approx(np.sqrt(np.mean(errors[known] ** 2)), rel=1e-5)
    assert figures.mean_absolute_error == pytest.approx(np.abs(errors[known]).mean(), rel=1e-5)
    in_units = errors[known] / run.codecs.outputs.scale
    assert figures.normalized_squared_error == pytest.approx(np.mean(in_units**2), rel=1e-5)
    always_the_mean = ((wanted - run.codecs.outputs.mean)[known] / run.codecs.outputs.scale) ** 2
    assert always_the_mean.mean() == pytest.approx(1, abs=0.3)


@every_kind
def test_what_does_not_count_is_not_scored(kinds, run_of):
    run, examples = run_of(*kinds), learnable(*kinds, seed=6)
    if kinds[1] != "label":
        nothing = [None] if kinds[1] == "labels" else [math.nan]
        idle = [(sequence, nothing * len(sequence)) for sequence, _ in examples[:3]]
        one, two = run.evaluate(examples), run.evaluate([*idle, *examples])
        assert one.loss == pytest.approx(two.loss, rel=1e-6)
        assert one.predictions == two.predictions
        with pytest.raises(seqlm.UsageError, match="nothing to evaluate on"):
            run.evaluate(idle)
    with pytest.raises(seqlm.UsageError, match="nothing to evaluate on"):
        run.evaluate([])


def test_unknown_tokens_are_counted_and_read_alike(run_of):
    run = run_of("tokens", "labels")
    assert run.evaluate([(["a", "?", "!"], ["small", 1, 1])]).unknown_tokens == 2
    one, two = run.probabilities([["a", "?", "b"], ["a", "!", "b"]])
    np.testing.assert_array_equal(one, two)


def test_words_never_seen_are_read_by_their_characters(tmp_path):
    """The label is that of the ending, and of long words the middle is not read."""
    random = np.random.default_rng(0)

    def words(count, length):
        return ["".join(random.choice(TOKENS, length)) + ending for ending in ("ing", "ed") for _ in range(count)]

    known = [word for length in (1, 2, 3, 30) for word in words(8, length)]
    examples = [([word, other], [word[-2:], other[-2:]]) for word, other in zip(known, random.permutation(known))]
    settings = {"char_cell": "bigru", "char_hidden_size": 8, "epochs": 8, "learning_rate": 0.03, "validation": []}
    run = train(examples, tmp_path / "run", **settings)
    unseen = [word for word in words(6, 4) + words(6, 25) if word not in known]
    assert run.predict([[word] for word in unseen]) == [[word[-2:]] for word in unseen]
    one, two = run.probabilities([["abcdefab" + middle + "fedcbing"] for middle in ("x", "long " * 9)])
    np.testing.assert_array_equal(one, two)
    assert (one != run.probabilities([["abcdefab" + "fedcaing"]])[0]).any()
