"""Several sequence models that predict together, against means over all label sequences, computed one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sequence_runs import learnable, train

import seqlm_core as seqlm
from seqlm_core.model.language_states import LanguageStates
from seqlm_core.training.extensions.plot import Plot

BIO = ["O", "B-X", "I-X"]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(Plot, "_draw", lambda plot: None)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Return a function that trains a model, once for the same arguments."""
    runs, folder = {}, tmp_path_factory.mktemp("runs")

    def run(inputs="tokens", outputs="labels", seed=1, **changed):
        key = inputs, outputs, seed, *changed.items()
        if key not in runs:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Plot, "_draw", lambda plot: None)
                examples = learnable(inputs, outputs, seed=seed)
                out = folder / str(len(runs))
                runs[key] = train(examples, out, inputs, outputs, seed=seed, learning_rate=0.05, **changed)
        return runs[key].path

    return run


def probabilities_of_all(run, tokens):
    """Return the probability of each sequence of labels that a run can give."""
    count = len(run.labels) ** len(tokens)
    return {tuple(map(str, f.labels)): np.exp(f.log_probability) for f in run.label([tokens], count)[0].best}


def pooled(parts):
    """Return the geometric means of the probabilities in some dictionaries, normalized."""
    means = {key: np.prod([part.get(key, 0.0) for part in parts]) ** (1 / len(parts)) for key in parts[0]}
    return {key: mean / sum(means.values()) for key, mean in means.items()}


def bio_run(out, seed, **changed):
    random = np.random.default_rng(seed)
    examples = [([*"abc"], BIO if i % 2 else random.choice(BIO, 3).tolist()) for i in range(16)]
    return train(examples, out, seed=seed, max_steps=9, validation_fraction=0, **changed)


def test_probabilities_of_label_sequences_are_geometric_means_whatever_the_output_layers_and_orders(run_of):
    paths = [run_of(), run_of(seed=8, output_layer="crf", cell="gru"), run_of(seed=3, output_layer="crf")]
    runs = [seqlm.SequenceRun(path) for path in paths]
    assert runs[0].labels != runs[1].labels, "the orders of the labels are to differ"
    ensemble = seqlm.SequenceEnsemble(paths)
    assert ensemble.labels == runs[0].labels
    for tokens in (["a"], ["b", "f", "c", "d"], list("abcdefa")):
        wanted = pooled([probabilities_of_all(run, tokens) for run in runs])
        found = probabilities_of_all(ensemble, tokens)
        assert found.keys() == wanted.keys()
        for key, probability in wanted.items():
            assert found[key] == pytest.approx(probability, rel=1e-4, abs=1e-9)
        best = max(wanted, key=wanted.get)
        assert tuple(map(str, ensemble.predict([tokens])[0])) == best
        marginals = ensemble.probabilities([tokens])[0]
        for (place, row), (i, label) in itertools.product(enumerate(marginals), enumerate(ensemble.labels)):
            alike = sum(p for key, p in wanted.items() if key[place] == str(label))
            assert row[i] == pytest.approx(alike, rel=1e-4, abs=1e-6)


def test_figures_of_labels_are_those_of_the_means(run_of):
    paths = [run_of(), run_of(seed=8, output_layer="crf", cell="gru")]
    ensemble = seqlm.SequenceEnsemble(paths)
    examples = [(tokens[:5], labels[:5]) for tokens, labels in learnable(seed=9)]
    nats = right = count = 0
    for tokens, labels in examples:
        wanted = pooled([probabilities_of_all(seqlm.SequenceRun(path), tokens) for path in paths])
        fits = [key for key in wanted if all(true is None or str(true) == label for label, true in zip(key, labels))]
        nats -= np.log(sum(wanted[key] for key in fits))
        known = [(best, str(true)) for best, true in zip(max(wanted, key=wanted.get), labels) if true is not None]
        count += len(known)
        right += sum(best == true for best, true in known)
    evaluation = ensemble.evaluate(examples)
    assert evaluation.nats_per_label == pytest.approx(nats / count, rel=1e-4)
    assert evaluation.accuracy == pytest.approx(right / count)
    assert evaluation.predictions == count


def test_one_label_for_a_sequence_has_the_geometric_mean_too(run_of):
    paths = [run_of("values", "label"), run_of("values", "label", seed=8)]
    sequences = [values for values, _ in learnable("values", "label", seed=5)]
    runs = [seqlm.SequenceRun(path) for path in paths]
    ensemble = seqlm.SequenceEnsemble(paths)
    each = [run.probabilities(sequences) for run in runs]
    orders = [[run.labels.index(label) for label in ensemble.labels] for run in runs]
    assert orders[0] != orders[1]
    for found, *parts in zip(ensemble.probabilities(sequences), *each):
        wanted = np.sqrt(np.prod([part[order] for part, order in zip(parts, orders)], axis=0))
        np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-4)


def test_values_are_averaged_in_their_own_units(run_of):
    paths = [run_of("values", "values"), run_of("values", "values", seed=8)]
    examples = learnable("values", "values", seed=5)
    sequences = [values for values, _ in examples]
    ensemble = seqlm.SequenceEnsemble(paths)
    scales = [run.codecs.outputs.scale for run in ensemble.runs]
    assert not np.allclose(*scales), "the models are to have units of their own"
    means = [np.mean(parts, axis=0) for parts in zip(*(seqlm.SequenceRun(path).predict(sequences) for path in paths))]
    for found, wanted in zip(ensemble.predict(sequences), means):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    errors = np.concatenate([mean - true for mean, (_, true) in zip(means, examples)])
    evaluation = ensemble.evaluate(examples)
    assert evaluation.mean_absolute_error == pytest.approx(np.nanmean(abs(errors)), rel=1e-4)
    assert evaluation.normalized_squared_error == pytest.approx(np.nanmean(np.square(errors / scales[0])), rel=1e-4)


def test_one_run_alone_predicts_as_it_does_by_itself(run_of):
    path = run_of(output_layer="crf")
    sequences = [tokens for tokens, _ in learnable(seed=4)]
    one, alone = seqlm.SequenceEnsemble([path]), seqlm.SequenceRun(path)
    assert one.predict(sequences) == alone.predict(sequences)
    for found, wanted in zip(one.probabilities(sequences), alone.probabilities(sequences)):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("constrained", [0, 1], ids=["the first", "the second"])
def test_labels_that_one_of_the_models_forbids_are_not_predicted(constrained, tmp_path):
    free = [bio_run(tmp_path / str(seed), seed) for seed in (0, 1)]
    paths = [run.path for run in free]
    paths[constrained] = bio_run(tmp_path / "constrained", seed=constrained, constrain=True).path
    ensemble = seqlm.SequenceEnsemble(paths)
    found = probabilities_of_all(ensemble, [*"abc"])
    allowed = [
        key
        for key in itertools.product(BIO, repeat=3)
        if not any(label == "I-X" and before == "O" for before, label in zip(("O", *key), key))
    ]
    assert sorted(found) == sorted(allowed)
    wanted = pooled([probabilities_of_all(run, [*"abc"]) for run in free])
    share = sum(wanted[key] for key in allowed)
    for key in allowed:
        assert found[key] == pytest.approx(wanted[key] / share, rel=1e-4)


def test_a_language_model_that_several_read_is_there_once_and_may_have_moved(tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("abc def fed cab bead\n" * 40)
    model = seqlm.train(text, out=tmp_path / "model", cell="bigru", max_steps=2, hidden_size=5, quiet=True).path
    examples = learnable(seed=1)
    runs = []
    for seed in (1, 2):
        described = seqlm.SequenceModel(hidden_size=6, max_steps=5, batch_size=4, seed=seed)
        runs.append(described.train(examples, out=tmp_path / str(seed), quiet=True, language_model=model))
    sequences = [tokens for tokens, _ in learnable(seed=5)]
    each = [run.probabilities(sequences) for run in runs]
    orders = [[run.labels.index(label) for label in runs[0].labels] for run in runs]
    moved = model.rename(tmp_path / "moved")
    paths = [run.path for run in runs]
    with pytest.raises(seqlm.RunError, match="name another place of it with `language_model`"):
        seqlm.SequenceEnsemble(paths).predict(sequences)
    calls = []
    for name in ("__init__", "of"):
        original = getattr(LanguageStates, name)
        monkeypatch.setattr(
            LanguageStates, name, lambda *given, name=name, original=original: calls.append(name) or original(*given)
        )
    found = seqlm.SequenceEnsemble(paths, moved).probabilities(sequences)
    assert calls == ["__init__", "of"]
    for ours, *parts in zip(found, *each):
        wanted = np.sqrt(np.prod([part[:, order] for part, order in zip(parts, orders)], axis=0))
        np.testing.assert_allclose(ours, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-4)


def test_several_language_models_that_have_moved_are_told_apart(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("abc def fed cab bead\n" * 40)
    models, paths = [], []
    for seed in (1, 2):
        options = {"cell": "gru", "max_steps": 2, "hidden_size": 5, "seed": seed, "quiet": True}
        models.append(seqlm.train(text, out=tmp_path / f"model-{seed}", **options).path)
        described = seqlm.SequenceModel(hidden_size=6, max_steps=5, batch_size=4)
        out = tmp_path / f"tagger-{seed}"
        paths.append(described.train(learnable(), out=out, quiet=True, language_model=models[-1]).path)
    sequences = [tokens for tokens, _ in learnable(seed=5)]
    before = seqlm.SequenceEnsemble(paths).probabilities(sequences)
    moved = [model.rename(tmp_path / f"moved-{number}") for number, model in enumerate(models)]
    for found, wanted in zip(seqlm.SequenceEnsemble(paths, moved[::-1]).probabilities(sequences), before):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(seqlm.SettingError, match=f"language_model: is of no use: none of the models reads {moved[1]}"):
        seqlm.SequenceEnsemble(paths[:1], moved)


def test_a_few_tokens_are_read_without_mxnet_and_predicted_alike(run_of, monkeypatch):
    paths = [run_of(), run_of(seed=8)]
    sequences = [tokens for tokens, _ in learnable(seed=5)]
    wanted = seqlm.SequenceEnsemble(paths).probabilities(sequences)
    ensemble = seqlm.SequenceEnsemble(paths)
    ensemble.expect(sum(map(len, sequences)))
    monkeypatch.setattr("seqlm_core.model.graph_batches.GraphBatches.outputs", None)
    for found, expected in zip(ensemble.probabilities(sequences), wanted):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_what_cannot_predict_together_is_refused(run_of, tmp_path):
    tagger, other = run_of(), run_of(seed=8)
    for paths in ([], str(tagger), tagger):
        with pytest.raises(seqlm.UsageError, match="`paths` is a list of run directories, not "):
            seqlm.SequenceEnsemble(paths)
    with pytest.raises(seqlm.UsageError, match=f"{tagger} is there twice"):
        seqlm.SequenceEnsemble([tagger, other, tagger])
    with pytest.raises(seqlm.UsageError, match=r"maps tokens to label, and .* tokens to labels: they cannot predict"):
        seqlm.SequenceEnsemble([tagger, run_of("tokens", "label")])
    marks = bio_run(tmp_path / "bio", seed=1)
    with pytest.raises(seqlm.UsageError, match=f"{marks.path} predicts other labels than {tagger}, .*: 1 is known"):
        seqlm.SequenceEnsemble([tagger, marks.path])
    one = run_of("values", "values")
    pairs = [(values, values) for values, _ in learnable("values", "values")]
    two = train(pairs, tmp_path / "two", "values", "values", max_steps=1)
    with pytest.raises(seqlm.UsageError, match=r"predicts other values than .*: 2 channels, not 1"):
        seqlm.SequenceEnsemble([one, two.path])
    with pytest.raises(seqlm.RunError, match="nowhere is not a run directory"):
        seqlm.SequenceEnsemble([tagger, other], "nowhere")
    with pytest.raises(seqlm.RunError, match="nowhere"):
        seqlm.SequenceEnsemble([tagger, tmp_path / "nowhere"])
    with pytest.raises(seqlm.UsageError, match=f"the ensemble of {one} predicts values, not labels"):
        seqlm.SequenceEnsemble([one, run_of("values", "values", seed=8)]).probabilities([])
