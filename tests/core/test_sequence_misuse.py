"""What the Python classes of sequence models are given wrongly, and what odd things they take."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import seqlm_core as seqlm

TOKENS, LABELS = [["a", "b", "c"], ["b", "a"]] * 4, [["X", "Y", "X"], ["Y", "X"]] * 4
EXAMPLES = list(zip(TOKENS, LABELS))
VALUES = [np.random.default_rng(seed).normal(size=(5, 3)) for seed in range(6)]
ENDLESS, MISSING = np.full((5, 3), np.inf), np.full((5, 3), np.nan)


def train(examples, out, inputs="tokens", outputs="labels", validation=None, init_from=None, **settings):
    settings = {"hidden_size": 4, "max_steps": 2, "validation_fraction": 0.0, "log_every": 0, **settings}
    model = seqlm.SequenceModel(inputs, outputs, **settings)
    return model.train(examples, validation, out=out, init_from=init_from, quiet=True)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return train(EXAMPLES, tmp_path_factory.mktemp("tagger") / "run")


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    out = tmp_path_factory.mktemp("values") / "run"
    return train([(v, v[:, :2]) for v in VALUES], out, "values", "values")


# fmt: off
NOT_TOKENS = {
    "a text": (["abc"], "sequence 1 is a text, 'abc'; a list of tokens"),
    "bytes": ([b"abc"], "sequence 1 is a text"),
    "a text in an array": ([np.array("abc")], "sequence 1 is a text"),
    "a number": ([["a"], 3], "sequence 2 is not a sequence of tokens but 3"),
    "None": ([["a", None]], "sequence 1 has None at time step 2"),
    "a decimal number": ([["a", 1.0]], r"sequence 1 has 1\.0 at time step 2"),
    "decimal numbers": ([np.array([1.0])], r"sequence 1 has 1\.0 at time step 1"),
    "bytes as tokens": ([[b"a"]], "sequence 1 has b'a' at time step 1"),
    "too deep": ([np.array([[["a"], ["b"]]])], r"sequence 1 has \[\['a'\], \['b'\]\] at time step 1"),
    "columns of unequal number": ([["a"], ["b", ("c", "d")]], "token 2 of sequence 2 has 2 columns, and token 1 of"),
}
NOT_VALUES = {
    "nan": ([MISSING], "sequence 1 has nan at time step 1"),
    "None": ([[[1, 2, None]]], "sequence 1 has nan at time step 1"),
    "infinite": ([VALUES[0], ENDLESS], "sequence 2 has an infinite value at time step 1"),
    "words": ([["a", "b"]], "sequence 1 is not an array of numbers"),
    "ragged": ([[[1, 2, 3], [1]]], "sequence 1 is not an array of numbers"),
    "a number": ([3.0], r"sequence 1 has shape \(\)"),
    "too deep": ([np.zeros((2, 3, 1))], r"sequence 1 has shape \(2, 3, 1\)"),
    "no channels": ([np.zeros((2, 0))], r"sequence 1 has shape \(2, 0\)"),
}
NO_LIST = {
    "not a list but a text": ("abc", "not the text 'abc'"),
    "no list": (None, "not None"),
    "not a list but a number": (3, "not 3"),
}
# fmt: on


@pytest.mark.parametrize("kind", {**NOT_TOKENS, **NO_LIST})
def test_what_is_no_tokens_is_named(kind, tagger, tmp_path):
    sequences, problem = {**NOT_TOKENS, **NO_LIST}[kind]
    with pytest.raises(seqlm.UsageError, match=problem):
        tagger.predict(sequences)
    if kind in NOT_TOKENS:
        for use in (tagger.evaluate, lambda examples: train(examples, tmp_path / "out")):
            with pytest.raises(seqlm.UsageError, match=problem):
                use([(sequence, ["X"]) for sequence in sequences])
    assert not (tmp_path / "out").exists()


def test_columns_that_the_model_does_not_read_are_named(tagger):
    problem = "reads no further column of each token, and 1 is given: set `columns`"
    for use in (tagger.predict, lambda sequences: tagger.evaluate([(sequence, ["X"]) for sequence in sequences])):
        with pytest.raises(seqlm.UsageError, match=problem):
            use([[("a", "b")]])


@pytest.mark.parametrize("kind", {**NOT_VALUES, **NO_LIST})
def test_what_is_no_values_is_named(kind, forecaster, tmp_path):
    sequences, problem = {**NOT_VALUES, **NO_LIST}[kind]
    with pytest.raises(seqlm.UsageError, match=problem):
        forecaster.predict(sequences)
    if kind in NOT_VALUES:
        with pytest.raises(seqlm.UsageError, match=problem):
            train([(sequence, [1.0]) for sequence in sequences], tmp_path / "out", "values", "values")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sequence", "problem"),
    [
        (np.zeros((4, 2)), "has 2 channels, and the model has 3"),
        (np.zeros(4), "has 1 channels, and the model has 3"),
        (np.full((4, 3), -1e300), r"values up to 1e\+300, too far from those of the training"),
        (np.full((4, 3), 1e40), "too far from those of the training"),
    ],
)
def test_values_unlike_those_of_the_training_are_refused(sequence, problem, forecaster):
    with pytest.raises(seqlm.UsageError, match=problem):
        forecaster.predict([sequence])


# fmt: off
NO_EXAMPLES = [
    ("None", None, "a list of pairs"),
    ("no pairs", [1, 2], "example 1 is not a pair"),
    ("a path", "train.tsv", "example 1 is not a pair"),
    ("triples", [*EXAMPLES, (1, 2, 3)], "example 9 is not a pair"),
    ("none", [], "no examples"),
    ("empty ones", [([], [])], "sequences are empty"),
    ("lengths", [*EXAMPLES, (["a", "b"], ["X"])], "example 9 has 2 time steps and 1 labels"),
    ("text labels", [(["a"], "X")], "example 1 has a text as its labels, 'X'"),
    ("number as labels", [(["a"], 1)], "example 1 has 1 as its labels"),
    ("decimal labels", [(["a"], np.array([1.0]))], r"example 1 has the label 1\.0"),
    ("one label", [(["a", "b"], ["X", "X"])], "'X' as their only label"),
    ("no labels", [(["a", "b"], [None, None])], "have no labels"),
]
# fmt: on


@pytest.mark.parametrize(("kind", "examples", "problem"), NO_EXAMPLES, ids=[row[0] for row in NO_EXAMPLES])
def test_what_is_no_examples_is_named(kind, examples, problem, tmp_path):
    with pytest.raises(seqlm.UsageError, match=problem):
        train(examples, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        ([MISSING] * 2, "no time step of the training examples counts"),
        ([VALUES[0], VALUES[1][:3]], "example 2 has 5 time steps and 3 values"),
        ([VALUES[0], VALUES[1][:, :2]], "the outputs of example 2 has 2 channels"),
        ([VALUES[0], ENDLESS], "example 2 has an infinite value"),
        ([VALUES[0] * 1e200, VALUES[1]], "so large that their variance cannot be computed"),
    ],
)
def test_target_values_that_cannot_be_learnt_are_told(targets, problem, tmp_path):
    with pytest.raises(seqlm.UsageError, match=problem):
        train(list(zip(VALUES, targets)), tmp_path / "out", "values", "values")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", [None, ["X"], 1.0])
def test_one_label_a_sequence_is_a_label(target, tmp_path):
    with pytest.raises(seqlm.UsageError, match="example 2 has the label"):
        train([(["a"], "X"), (["b"], target)], tmp_path / "out", outputs="label")
    with pytest.raises(seqlm.UsageError, match="example 1 has an empty sequence"):
        train([([], "X")], tmp_path / "out", outputs="label")


@pytest.mark.parametrize("examples", [[], [([], [])], [(["a"], ["Q"])], [(["a"], [None])]])
def test_nothing_that_counts_is_neither_evaluated_nor_trained_from_another_run(examples, tagger, tmp_path):
    with pytest.raises(seqlm.UsageError, match="nothing to evaluate on"):
        tagger.evaluate(examples)
    with pytest.raises(seqlm.UsageError, match="nothing in the training examples counts"):
        train(examples, tmp_path / "out", init_from=tagger.path)
    assert not (tmp_path / "out").exists()


def test_an_error_in_a_users_generator_is_not_hidden(tmp_path):
    def examples():
        yield EXAMPLES[0]
        int("seven")

    with pytest.raises(ValueError, match="seven"):
        train(examples(), tmp_path / "out")


@pytest.mark.parametrize(
    ("tokens", "labels", "known"),
    [
        (np.array([1, 2]), np.array([3, 4]), [3, 4]),
        (np.array(["a", "b"]), np.array(["x", "y"]), ["x", "y"]),
        (np.array(["a", 1], object), np.array(["x", 2], object), [2, "x"]),
        ([np.int8(1), np.uint64(2)], [np.int64(3), np.str_("y")], [3, "y"]),
        (np.array([True, False]), np.array([True, False]), [0, 1]),
        (["a", "b"], [np.bool_(True), False], [0, 1]),
        ([10**30, -1], [10**30, -1], [-1, 10**30]),
        (["", "\n"], ["", "\t"], ["", "\t"]),
        (["\ud800", "\0"], ["\ud800", "\0"], ["\0", "\ud800"]),
        (iter(["a", "b"]), iter([1, "1"]), ["1", 1]),
    ],
)
def test_tokens_and_labels_of_any_kind_of_text_and_whole_number_are_learnt(tokens, labels, known, tmp_path):
    tokens, labels = list(tokens), list(labels)
    run = train(((tokens, labels) for _ in range(2)), tmp_path / "run", char_cell="gru", char_hidden_size=2)
    assert run.labels == known
    assert set(run.predict(iter([tokens, []]))[0]) <= set(labels)
    seqlm.resume(run.path, quiet=True)


def test_empty_sequences_and_lists_are_no_fault(tagger, forecaster, tmp_path):
    assert tagger.predict([]) == forecaster.predict([]) == []
    assert tagger.predict([[], ["a"], np.array([])])[::2] == [[], []]
    assert [p.shape for p in tagger.probabilities([[], ["a"]])] == [(0, 2), (1, 2)]
    assert [p.shape for p in forecaster.predict([[], VALUES[0], np.zeros((0, 3))])] == [(0, 2), (5, 2), (0, 2)]
    train([([], []), *EXAMPLES, ([], [])], tmp_path / "run")


@pytest.mark.parametrize(
    "validation", [np.array(EXAMPLES[:2], object), iter(EXAMPLES), [(["a"], ["Q"])], [(["a"], [None])]]
)
def test_a_validation_part_may_be_any_iterable_and_of_any_labels(validation, tmp_path):
    train(EXAMPLES, tmp_path / "run", validation=validation)


@pytest.mark.parametrize(
    ("inputs", "outputs", "settings", "problem"),
    [
        ("words", "labels", {}, "inputs: must be one of tokens, values, not 'words'"),
        (None, "labels", {}, "inputs: must be one of"),
        ("tokens", ["label"], {}, "outputs: must be one of"),
        ("tokens", "labels", {"hiden_size": 3}, "no setting 'hiden_size'"),
        ("tokens", "labels", {"sequence_length": 3}, "no setting 'sequence_length'"),
        ("tokens", "labels", {"cell": 3}, "cell: must be text"),
        ("tokens", "labels", {"char_cell": "gru", "char_cell_options": {"x": 1}}, "'x'"),
        ("tokens", "labels", {"char_hidden_size": 3}, "char_hidden_size: needs `char_cell`, and none is chosen"),
        ("values", "labels", {"char_cell": "gru"}, "char_cell: is for tokens"),
        ("values", "labels", {"min_count": 2}, "min_count: is for tokens"),
    ],
)
def test_a_model_that_cannot_be_is_refused_at_once(inputs, outputs, settings, problem):
    with pytest.raises(seqlm.UsageError, match=problem):
        seqlm.SequenceModel(inputs, outputs, **settings).train(EXAMPLES)


def test_what_a_run_has_not_is_told(tagger, forecaster):
    for use in (lambda: forecaster.labels, lambda: forecaster.probabilities(VALUES)):
        with pytest.raises(seqlm.UsageError, match="predicts values, not labels"):
            use()
    with pytest.raises(seqlm.UsageError, match="maps tokens to labels, and cannot begin a model of values to labels"):
        train([], "out", "values", init_from=tagger.path)


def test_other_cells_than_that_of_an_earlier_run_are_named_as_such(tagger):
    with pytest.raises(seqlm.SettingError, match="cell: is 'bilstm' in the run to begin from, and cannot be 'gru'"):
        train(EXAMPLES, "out", init_from=tagger.path, cell="gru")
    with pytest.raises(seqlm.SettingError, match="cell: was 'bilstm' when the run began and cannot change"):
        seqlm.resume(tagger.path, cell="gru")


def test_unknown_labels_are_warned_of(tagger, caplog):
    with caplog.at_level(logging.WARNING, "seqlm"):
        evaluation = tagger.evaluate([(["a", "zebra"], ["X", "Q"])])
    assert (evaluation.unknown_labels, evaluation.unknown_tokens, evaluation.predictions) == (1, 1, 2)
    assert "1 of 2 labels were not in the training" in caplog.text
