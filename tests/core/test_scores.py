"""How well labels are predicted: figures by hand, by a naive count, and by seqeval (``pytest -m seqeval``)."""

from __future__ import annotations

import collections
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlm_core.evaluation.scores import Score, accuracy, chunk_scores, confusion, label_scores
from seqlm_core.sequences.chunk_schemes import are_chunk_labels, scheme_breaks

# True and predicted labels with ` | ` between sequences; for each type of chunk how many predicted ones are correct,
# how many are predicted, and how many are true. Counted by seqeval 1.2.2.
CASES = [
    ("B-X I-X O", "B-X I-X O", {"X": (1, 1, 1)}),
    ("B-X I-X O", "B-X O O", {"X": (0, 1, 1)}),
    ("B-X I-X O", "I-X I-X O", {"X": (1, 1, 1)}),
    ("B-X I-X O", "O I-X O", {"X": (0, 1, 1)}),
    ("B-X I-X", "B-Y I-Y", {"X": (0, 0, 1), "Y": (0, 1, 0)}),
    ("B-X I-X I-X", "B-X I-Y I-X", {"X": (0, 2, 1), "Y": (0, 1, 0)}),
    ("B-X I-X I-X", "B-X B-X I-X", {"X": (0, 2, 1)}),
    ("I-X I-X O I-X", "B-X I-X O B-X", {"X": (2, 2, 2)}),
    ("B-X B-X", "B-X I-X", {"X": (0, 1, 2)}),
    ("B-X O B-Y", "O O O", {"X": (0, 0, 1), "Y": (0, 0, 1)}),
    ("O B-X O", "S-X S-X S-X", {"X": (1, 3, 1)}),
    ("B-X E-X O S-Y", "B-X E-X O S-Y", {"X": (1, 1, 1), "Y": (1, 1, 1)}),
    ("B-X I-X E-X", "B-X I-X I-X", {"X": (1, 1, 1)}),
    ("B-X E-X", "I-X E-X", {"X": (1, 1, 1)}),
    ("B-X E-X", "E-X E-X", {"X": (0, 2, 1)}),
    ("B-X E-X I-X", "B-X E-X B-X", {"X": (2, 2, 2)}),
    ("S-X I-X", "S-X B-X", {"X": (2, 2, 2)}),
    ("S-X E-X", "B-X E-X", {"X": (0, 1, 2)}),
    ("B-X E-Y", "S-X S-Y", {"X": (1, 1, 1), "Y": (1, 1, 1)}),
    ("B-X S-X E-X", "B-X I-X E-X", {"X": (0, 1, 3)}),
    ("E-X I-X E-X", "S-X B-X E-X", {"X": (2, 2, 2)}),
    ("O E-X O", "O S-X O", {"X": (1, 1, 1)}),
    ("B-X-Y I-X-Y", "B-X-Y I-X", {"X": (0, 1, 0), "X-Y": (0, 1, 1)}),
    ("B-X I-X | I-X", "B-X I-X | B-X", {"X": (2, 2, 2)}),
    ("B-X | O", "B-X | I-X", {"X": (1, 2, 1)}),
    ("O | B-X I-X", "B-Y | B-X I-X", {"X": (1, 1, 1), "Y": (0, 1, 0)}),
    ("B-_ I-_ O I-_", "B-_ I-_ O B-_", {"_": (2, 2, 2)}),
    ("B-X I-Y E-Y", "B-X B-Y I-Y", {"X": (1, 1, 1), "Y": (1, 1, 1)}),
    ("E-X O I-X S-X E-Y E-X I-X E-Y I-Y", "E-X S-X I-X S-X E-Y S-X S-Y I-X I-Y", {"X": (4, 6, 5), "Y": (2, 3, 3)}),
    ("I-Y E-Y S-X O I-Y E-X", "I-Y B-Y E-Y O I-Y E-X", {"X": (1, 1, 2), "Y": (1, 3, 2)}),
    ("O E-X O S-Y E-Y I-Y", "O E-X B-Y B-Y E-Y S-X", {"X": (1, 2, 1), "Y": (0, 2, 3)}),
    ("O O I-Y S-X E-Y O I-X S-X I-X", "S-X O B-Y S-Y E-Y O I-X I-Y I-X", {"X": (2, 3, 4), "Y": (2, 4, 2)}),
    ("B-X B-Y B-X O S-Y I-X E-Y O", "B-X B-X O S-X S-X I-X B-Y S-Y", {"X": (2, 5, 3), "Y": (1, 2, 3)}),
    ("S-Y I-X E-Y E-Y I-Y O I-Y S-Y O", "S-Y B-Y E-Y O I-Y I-Y I-Y S-Y B-Y", {"X": (0, 0, 1), "Y": (2, 5, 6)}),
    ("S-Y S-X S-Y O O O", "S-Y O S-Y O O B-Y", {"X": (0, 0, 1), "Y": (2, 3, 2)}),
    ("O E-Y B-Y O O S-X E-X", "I-X E-Y B-Y O O S-X E-X", {"X": (2, 3, 2), "Y": (2, 2, 2)}),
    ("E-X B-Y I-X I-Y E-Y S-Y", "E-X O B-X I-Y E-Y S-Y", {"X": (2, 2, 2), "Y": (2, 2, 3)}),
    ("B-X O E-Y E-X S-Y S-X I-X I-Y E-X", "I-X O E-Y I-Y S-X S-X I-X I-Y I-Y", {"X": (3, 4, 5), "Y": (1, 3, 3)}),
    ("I-X E-X E-X O O S-Y B-Y", "B-X E-X E-X S-Y O S-Y E-X", {"X": (2, 3, 2), "Y": (1, 2, 2)}),
    ("B-X E-Y O I-X B-X E-Y", "B-X E-Y O O B-X E-Y", {"X": (2, 2, 3), "Y": (2, 2, 2)}),
]

LABELS = st.sampled_from(["N", "V", 7, 10])
CHUNK_LABELS = {
    "BIO": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
    "IOBES": ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ["PER", "LOC", "X-Y"])],
}


def pairs_of(true_labels, labels, **sizes):
    """Return a strategy of true and predicted labels of several sequences, each pair of the same length."""
    sequence = st.lists(st.tuples(true_labels, labels), max_size=12)
    sequences = st.lists(sequence, **{"max_size": 4, **sizes})
    return sequences.map(lambda pairs: tuple([[p[side] for p in seq] for seq in pairs] for side in (0, 1)))


def split(text):
    return [sequence.split() for sequence in text.split(" | ")]


def as_tuple(score):
    return score.precision, score.recall, score.f1, score.support


def from_counts(correct, predicted, true):
    precision = correct / predicted if predicted else 0
    recall = correct / true if true else 0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0
    return pytest.approx((precision, recall, f1, true))


def test_accuracy_weighs_every_label_the_same():
    assert accuracy([["N", "V", "N", "N"], ["V"]], [["N", "N", "N", "N"], ["N"]]) == 3 / 5
    assert accuracy([[0, 1], []], [[0, 1], []]) == 1
    assert accuracy([["N"]], [["V"]]) == 0


def test_labels_are_scored_one_by_one():
    true = [["N", "V", "N", "D"], ["V", "N"]]
    predicted = [["N", "N", "N", "V"], ["V", "X"]]
    scores = label_scores(true, predicted)
    assert list(scores) == ["D", "N", "V", "X"]
    assert as_tuple(scores["N"]) == (2 / 3, 2 / 3, 2 / 3, 3)
    assert as_tuple(scores["V"]) == (1 / 2, 1 / 2, 1 / 2, 2)
    assert scores["D"] == Score(precision=0.0, recall=0.0, f1=0.0, support=1)
    assert scores["X"] == Score(precision=0.0, recall=0.0, f1=0.0, support=0)


def test_f1_is_the_harmonic_mean():
    score = label_scores([["N"] * 4 + ["V"]], [["N", "V", "V", "V", "V"]])["N"]
    assert as_tuple(score) == (1.0, 0.25, 0.4, 4)


@settings(max_examples=100, deadline=None)
@given(pairs_of(st.none() | LABELS, LABELS))
def test_labels_are_scored_as_a_naive_count_does(both):
    counted = [(t, p) for pair in zip(*both) for t, p in zip(*pair) if t is not None]
    right = [t for t, p in counted if t == p]
    assert accuracy(*both) == (len(right) / len(counted) if counted else 0)
    scores = label_scores(*both)
    assert set(scores) == {label for pair in counted for label in pair}
    assert list(scores) == sorted(scores, key=str)
    for label, score in scores.items():
        predicted, true = sum(p == label for _, p in counted), sum(t == label for t, _ in counted)
        assert as_tuple(score) == from_counts(right.count(label), predicted, true)


def test_uncounted_labels_are_left_out():
    true, predicted = [["N", None, "V"]], [["N", "N", "X"]]
    assert accuracy(true, predicted) == 1 / 2
    assert as_tuple(label_scores(true, predicted)["N"]) == (1, 1, 1, 1)
    assert accuracy([[None]], [["N"]]) == 0
    assert label_scores([[None]], [["N"]]) == {}


@pytest.mark.parametrize(("true", "predicted", "counts"), CASES)
def test_chunks_are_scored_as_seqeval_has_scored_them(true, predicted, counts):
    scores = chunk_scores(split(true), split(predicted))
    assert list(scores.types) == list(counts)
    for kind, of_type in counts.items():
        assert as_tuple(scores.types[kind]) == from_counts(*of_type)
    assert as_tuple(scores) == from_counts(*map(sum, zip(*counts.values())))


@pytest.mark.seqeval
@pytest.mark.parametrize("scheme", CHUNK_LABELS)
def test_chunks_are_scored_as_seqeval_scores_them(scheme):
    metrics = pytest.importorskip("seqeval.metrics")
    labels = st.sampled_from(CHUNK_LABELS[scheme])

    @settings(max_examples=300, deadline=None)
    @given(pairs_of(labels, labels, min_size=1))
    def compare(both):
        true, predicted = both
        scores = chunk_scores(true, predicted)
        if not any(label != "O" for sequence in true + predicted for label in sequence):
            assert as_tuple(scores) == (0, 0, 0, 0)
            return
        report = metrics.classification_report(true, predicted, output_dict=True, zero_division=0)
        averages = {name: report.pop(f"{name} avg") for name in ["micro", "macro", "weighted"]}
        assert as_tuple(scores) == pytest.approx(tuple(averages["micro"].values()))
        assert list(scores.types) == list(report)
        for kind, score in scores.types.items():
            assert as_tuple(score) == pytest.approx(tuple(report[kind].values()))
        assert accuracy(true, predicted) == pytest.approx(metrics.accuracy_score(true, predicted))

    compare()


def test_an_uncounted_label_is_outside_of_true_and_predicted_chunks():
    true, predicted = [["B-X", None, "I-X", None]], [["B-X", "I-X", "I-X", "B-Y"]]
    assert chunk_scores(true, predicted) == chunk_scores([["B-X", "O", "I-X", "O"]], [["B-X", "O", "I-X", "O"]])
    assert chunk_scores(true, predicted).support == 2


def test_a_prediction_that_is_no_chunk_label_is_outside():
    assert chunk_scores([["B-X", "I-X"]], [["B-X", "N"]]) == chunk_scores([["B-X", "I-X"]], [["B-X", "O"]])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["O", "B-PER", "I-PER"], True),
        (["S-a", "E-b-c", None], True),
        (["O", "O"], False),
        ([None], False),
        ([], False),
        (["O", "B-PER", "NN"], False),
        (["O", "B-"], False),
        (["B"], False),
        (["PER-B"], False),
        (["b-PER"], False),
        (["L-PER"], False),
        (["B-PER", 3], False),
        ([0, 1], False),
    ],
)
def test_chunk_labels_are_told_from_others(labels, expected):
    assert are_chunk_labels(labels) is expected


@pytest.mark.parametrize("score", [accuracy, label_scores, chunk_scores])
def test_true_and_predicted_labels_have_to_be_as_many(score):
    with pytest.raises(ValueError, match="2 sequences of true labels and 1 of predicted ones"):
        score([["O"], ["O"]], [["O"]])
    with pytest.raises(ValueError, match="sequence 1 has 1 true labels and 2 predicted ones"):
        score([["O"], ["O"]], [["O"], ["O", "O"]])


@settings(max_examples=100, deadline=None)
@given(pairs_of(st.none() | LABELS, LABELS))
def test_confusions_count_each_pair_of_labels(both):
    true, predicted = both
    found = confusion(true, predicted)
    flat = [(a, b) for row in zip(true, predicted) for a, b in zip(*row) if a is not None]
    assert {(a, b): n for a, row in found.items() for b, n in row.items()} == dict(collections.Counter(flat))
    totals = [sum(row.values()) for row in found.values()]
    assert totals == sorted(totals, reverse=True)


VALID = {
    "BIO": r"(O |(B-PER (I-PER )*)|(B-LOC (I-LOC )*))*",
    "IOBES": r"(O |(S-\S+ )|(B-PER (I-PER )*E-PER )|(B-LOC (I-LOC )*E-LOC )|(B-X-Y (I-X-Y )*E-X-Y ))*",
}


@pytest.mark.parametrize("scheme", VALID)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_scheme_is_broken_where_a_grammar_of_it_does_not_match(scheme, data):
    labels = CHUNK_LABELS[scheme]
    ids = data.draw(st.lists(st.integers(0, len(labels) - 1), max_size=8))
    breaks = scheme_breaks(labels, [np.array(ids, int)])
    text = "".join(f"{labels[i]} " for i in ids)
    assert (not breaks) == (re.fullmatch(VALID[scheme], text) is not None)


def test_breaks_of_a_scheme_are_named_and_counted():
    labels = ["O", "B-X", "I-X", "I-Y"]
    sequences = [np.array([2, 0, 2, 2]), np.array([1, 3, 3]), np.array([0, 2]), np.array([], int)]
    assert scheme_breaks(labels, sequences) == {
        "I-X after O": 2, "I-X at the beginning": 1, "I-Y after B-X": 1,
    }  # fmt: skip
    assert scheme_breaks(["O", "B-X", "E-X"], [np.array([1, 0, 1])]) == {"B-X at the end": 1, "O after B-X": 1}
