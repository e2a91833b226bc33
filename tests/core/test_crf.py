"""Models whose labels are predicted together, by a conditional random field."""

from __future__ import annotations

import numpy as np
import pytest
from sequence_runs import SMALL
from tagger_commands import as_text, done, run_cli, toy_sequences, write

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, nd
from seqlm_core.evaluation.scores import chunk_scores
from seqlm_core.model.crf_head import CRFHead
from seqlm_core.native.training import MXNET, available_backends, chosen_backend
from seqlm_core.sequences.chunk_schemes import chunks_only

LENGTHS = [5, 1, 3, 5]
TIME, BATCH, LABELS, HIDDEN = 5, 4, 3, 6


class Case:
    """A layer with drawn weights, and sequences of drawn labels, some of which do not count."""

    def __init__(self, dtype="float32", seed=1, size=1.0):
        random = np.random.default_rng(seed)
        self.head = CRFHead(LABELS, HIDDEN)
        self.head.cast(dtype)
        self.head.initialize()
        for parameter in self.head.collect_params().values():
            parameter.set_data(nd.array(size * random.normal(size=parameter.shape), dtype=dtype))
        self.hidden = nd.array(random.normal(size=(TIME, BATCH, HIDDEN)), dtype=dtype)
        self.targets = random.integers(0, LABELS, size=(TIME, BATCH)).astype(np.int32)
        within = np.arange(TIME)[:, None] < LENGTHS
        self.counted = within & (random.random((TIME, BATCH)) < 0.8)
        self.counted[:, 1] = False  # nothing of this one counts
        self.dtype = dtype

    def losses(self):
        return self.head.sequence_loss(
            nd, self.hidden, nd.array(self.targets, dtype="int32"), nd.array(self.counted, dtype=self.dtype),
            nd.array(LENGTHS, dtype="int32"), TIME,
        )  # fmt: skip

    def gradients(self, weights):
        """Return the loss, weighted for each sequence, and its gradients by the parameters and the hidden vectors."""
        self.hidden.attach_grad()
        with autograd.record():
            total = (self.losses() * nd.array(weights, dtype=self.dtype)).sum()
        total.backward()
        arrays = {name: p.grad().asnumpy() for name, p in self.head._collect_params_with_prefix().items()}
        return total.asscalar(), {**arrays, "hidden": self.hidden.grad.asnumpy()}


def test_the_loss_is_the_negative_log_probability_of_the_labels_that_count():
    case = Case("float64")
    scores = case.head.scores(case.hidden).asnumpy()
    chain = case.head.label_chain()
    known = np.where(case.counted, case.targets, -1)
    expected = [
        -chain.log_probabilities([scores[:length, b]], [known[:length, b]])[0] for b, length in enumerate(LENGTHS)
    ]
    losses = case.losses().asnumpy()
    np.testing.assert_allclose(losses.sum(axis=0), expected, rtol=1e-9, atol=1e-9)
    assert (losses[~case.counted] == 0).all()


def test_gradients_are_those_of_finite_differences():
    weights = np.array([1.0, 2.0, 0.5, 3.0])
    _, gradients = Case("float64").gradients(weights)
    for name, gradient in gradients.items():
        for place in list(np.ndindex(gradient.shape))[::3]:
            found = []
            for step in (1e-6, -1e-6):
                case = Case("float64")
                parameters = case.head._collect_params_with_prefix()
                array = case.hidden if name == "hidden" else parameters[name].data()
                array[place] += step
                found.append((case.losses() * nd.array(weights, dtype="float64")).sum().asscalar())
            assert (found[0] - found[1]) / 2e-6 == pytest.approx(gradient[place], abs=1e-6), (name, place)


@pytest.mark.usefixtures("training_library")
@pytest.mark.parametrize("size", [1.0, 8.0])
@pytest.mark.parametrize("backend", [name for name in available_backends() if name != MXNET])
def test_native_kernels_compute_the_same(backend, size):
    weights = np.array([1.0, 2.0, 0.5, 3.0])
    with chosen_backend(MXNET):
        expected_loss, expected = Case("float64", size=size).gradients(weights)
    for members in (1, 3):
        with chosen_backend(backend, members):
            loss, gradients = Case(size=size).gradients(weights)
        assert loss == pytest.approx(expected_loss, rel=1e-4)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(gradient, expected[name], atol=2e-4 * size, rtol=1e-3, err_msg=name)


TAGGED = [([token for token, *_ in rows], [label for *_, label in rows]) for rows in toy_sequences(60)]
# The next label follows from the one before it, and the tokens tell nothing.
ALTERNATING = [(["x"] * n, [str((start + i) % 2) for i in range(n)]) for n in range(2, 7) for start in (0, 1)] * 4


def train(examples, path, **settings):
    return seqlm.SequenceModel(**{**SMALL, "output_layer": "crf", **settings}).train(examples, out=path, quiet=True)


def test_it_learns_what_labels_follow_each_other(tmp_path):
    """A tagger that reads from left to right sees in a sequence of equal tokens where it is, but not how it began."""
    settings = {"epochs": 40, "learning_rate": 0.05, "cell": "lstm", "validation_fraction": 0.0}
    for output_layer, share in (("crf", 1.0), ("softmax", 0.0)):
        run = train(ALTERNATING, tmp_path / output_layer, output_layer=output_layer, **settings)
        predicted = run.predict([tokens for tokens, _ in ALTERNATING])
        good = [all(a != b for a, b in zip(labels, labels[1:])) for labels in predicted]
        assert np.mean(good) >= share
        best = run.label([["x"] * 4], 2)[0].best
        if output_layer == "crf":
            assert {tuple(labels) for labels, _ in best} == {("0", "1", "0", "1"), ("1", "0", "1", "0")}
            assert np.exp([p for _, p in best]).sum() == pytest.approx(1, abs=0.1)


def test_probabilities_are_marginals_of_the_best_sequences(tmp_path):
    run = train(TAGGED, tmp_path / "run", epochs=4)
    tokens = TAGGED[0][0][:3]
    (marginals,) = run.probabilities([tokens])
    every = run.label([tokens], len(run.labels) ** len(tokens))[0].best
    assert len(every) == len(run.labels) ** len(tokens)
    expected = np.zeros(marginals.shape)
    for labels, log_probability in every:
        expected[np.arange(len(labels)), [run.labels.index(label) for label in labels]] += np.exp(log_probability)
    np.testing.assert_allclose(marginals, expected, atol=1e-5)
    assert run.predict([tokens])[0] == every[0][0]


@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_a_run_is_resumed_and_its_figures_are_those_of_its_predictions(cell, tmp_path):
    settings = {"cell": cell, "epochs": 4, "schedule": "constant", "dropout": 0.2}
    whole = train(TAGGED, tmp_path / "whole", **settings)
    part = train(TAGGED, tmp_path / "part", **{**settings, "epochs": 2})
    resumed = seqlm.resume(part.path, quiet=True, epochs=4)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], array, err_msg=name)
    evaluation = whole.evaluate(TAGGED)
    predicted = whole.predict([tokens for tokens, _ in TAGGED])
    assert evaluation.chunks == chunk_scores([labels for _, labels in TAGGED], predicted)
    short = [example for example in TAGGED if len(example[0]) <= 3]
    assert short
    total = 0.0
    for tokens, labels in short:
        every = whole.label([tokens], len(whole.labels) ** len(tokens))[0].best
        total += next(found.log_probability for found in every if found.labels == labels)
    expected = -total / sum(len(labels) for _, labels in short)
    assert whole.evaluate(short).nats_per_label == pytest.approx(expected, rel=1e-5)


def test_forbidden_labels_are_not_predicted(tmp_path):
    random = np.random.default_rng(1)
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    examples = [(["x", "y", "z"], [labels[i] for i in random.integers(0, 5, 3)]) for _ in range(40)]
    examples.append((["x"], ["B-LOC"]))
    for output_layer in ("softmax", "crf"):
        free, bound = (
            train(examples, tmp_path / f"{output_layer}-{constrain}", output_layer=output_layer, constrain=constrain,
                  epochs=1)
            for constrain in (False, True)
        )  # fmt: skip
        allowed = chunks_only(bound.labels)
        sequences = [tokens for tokens, _ in examples]
        for predicted in bound.predict(sequences):
            ids = [bound.labels.index(label) for label in predicted]
            assert allowed.first[ids[0]] == 0
            assert all(allowed.transitions[pair] == 0 for pair in zip(ids, ids[1:]))
        for name, array in free.weights.items():
            np.testing.assert_array_equal(bound.weights[name], array)
        (marginals,) = bound.probabilities([sequences[0]])
        assert marginals[0, [bound.labels.index("I-PER"), bound.labels.index("I-LOC")]].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("labels", "sequence", "is_allowed"),
    [
        (["O", "B-X", "I-X"], ["B-X", "I-X", "I-X", "O", "B-X", "B-X"], True),
        (["O", "B-X", "I-X"], ["I-X"], False),
        (["O", "B-X", "I-X"], ["O", "I-X"], False),
        (["O", "B-X", "I-X", "B-Y", "I-Y"], ["B-X", "I-Y"], False),
        (["O", "B-X", "I-X", "E-X", "S-X"], ["S-X", "B-X", "I-X", "E-X", "O"], True),
        (["O", "B-X", "I-X", "E-X", "S-X"], ["B-X"], False),
        (["O", "B-X", "I-X", "E-X", "S-X"], ["B-X", "O"], False),
        (["O", "B-X", "I-X", "E-X", "S-X"], ["S-X", "E-X"], False),
        (["O", "B-X", "I-X", "E-X", "S-X"], ["B-X", "I-X", "S-X"], False),
    ],
)
def test_the_schemes_allow_what_they_define(labels, sequence, is_allowed):
    chain = chunks_only(labels)
    ids = [labels.index(label) for label in sequence]
    score = chain.first[ids[0]] + chain.last[ids[-1]] + sum(chain.transitions[pair] for pair in zip(ids, ids[1:]))
    assert score == (0 if is_allowed else -np.inf)


@pytest.mark.parametrize(
    ("outputs", "settings", "message"),
    [
        ("label", {"output_layer": "crf"}, "output_layer: is for models with a label at each time step"),
        ("values", {"output_layer": "crf"}, "output_layer: is for models .* this one predicts values"),
        ("label", {"constrain": True}, "constrain: is for models with a label at each time step"),
    ],
)
def test_a_task_without_sequences_of_labels_is_refused(outputs, settings, message):
    with pytest.raises(seqlm.UsageError, match=message):
        seqlm.SequenceModel("tokens", outputs, **settings)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a", "b"], "constrain: the labels are not those of the schemes"), (["O", "I-X"], "there is I-X and no B-X")],
)
def test_labels_that_no_scheme_has_are_refused(labels, message, tmp_path):
    with pytest.raises(seqlm.UsageError, match=message):
        train([(["x", "y"], labels)] * 8, tmp_path / "run", constrain=True)


def test_the_command_line_trains_and_applies_it(tmp_path, capsys):
    text = write(tmp_path / "text.txt", as_text(toy_sequences(60)))
    options = ["--output-layer", "crf", "--constrain", "--hidden-size", "8", "--epochs", "3", "--quiet"]
    done(capsys, "tag", "train", text, *options, "--out", tmp_path / "run")
    out, _ = done(capsys, "tag", "apply", tmp_path / "run", text, "--token-column", "1")
    assert len(out.splitlines()) == len(text.read_text().splitlines())
    out, _ = done(capsys, "tag", "evaluate", tmp_path / "run", text)
    assert "all chunks" in out
    code, _, err = run_cli(capsys, "train", text, "--output-layer", "crf")
    assert code == 2
    assert "crf" in err
