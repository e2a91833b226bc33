"""``seqlm tag apply`` and ``evaluate`` with several runs."""

from __future__ import annotations

import json

import pytest
from tagger_commands import TINY, as_text, done, run_cli, toy_sequences, write

import seqlm_core as seqlm

NEW = toy_sequences(12, seed=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Where ``new.tsv`` and ``new.txt``, without labels, are."""
    folder = tmp_path_factory.mktemp("columns")
    write(folder / "train.tsv", as_text(toy_sequences(40)))
    write(folder / "new.tsv", as_text(NEW))
    write(folder / "new.txt", as_text(NEW, columns=[0]))
    return folder


@pytest.fixture(scope="module")
def taggers(files):
    """The paths of three runs that differ."""
    examples = seqlm.read_columns(files / "train.tsv")
    runs = []
    for seed, changed in enumerate([{}, {"output_layer": "crf"}, {"cell": "gru", "shapes": True}], 1):
        settings = {"hidden_size": 12, "batch_size": 8, "epochs": 3, "learning_rate": 0.03, "seed": seed, **changed}
        described = seqlm.SequenceModel(**settings)
        runs.append(described.train(examples, out=files / f"run-{seed}", quiet=True).path)
    return runs


def test_labels_and_probabilities_are_those_of_the_ensemble(files, taggers, capsys):
    first, *others = taggers
    ensemble = seqlm.SequenceEnsemble(taggers)
    tokens = [[row[0] for row in rows] for rows in NEW]
    labellings = ensemble.label(tokens, 2, probabilities=True)
    given = [argument for other in others for argument in ("--with", other)]
    printed, _ = done(
        capsys, "tag", "apply", first, files / "new.txt", *given, "--n-best", 2, "--probabilities", "--json"
    )
    for line, words, labelling in zip(printed.splitlines(), tokens, labellings):
        values = json.loads(line)
        assert values["tokens"] == words
        assert values["labels"] == labelling.best[0].labels
        assert [one["labels"] for one in values["best"]] == [one.labels for one in labelling.best]
        assert values["best"][0]["log_probability"] == pytest.approx(labelling.best[0].log_probability, abs=1e-5)
        wanted = [
            row[ensemble.labels.index(label)] for row, label in zip(labelling.probabilities, labelling.best[0].labels)
        ]
        assert values["probabilities"] == pytest.approx(wanted, rel=1e-4)
    alone, _ = done(capsys, "tag", "apply", first, files / "new.txt", "--probabilities")
    together, _ = done(capsys, "tag", "apply", first, files / "new.txt", *given, "--probabilities")
    assert alone != together


def test_figures_are_those_of_the_ensemble(files, taggers, capsys):
    first, *others = taggers
    wanted = seqlm.SequenceEnsemble(taggers).evaluate(seqlm.read_columns(files / "new.tsv"))
    given = [argument for other in others for argument in ("--with", other)]
    figures = json.loads(done(capsys, "tag", "evaluate", first, files / "new.tsv", *given, "--json")[0])
    assert figures["nats_per_label"] == pytest.approx(wanted.nats_per_label, rel=1e-4)
    assert figures["confusion"] == wanted.to_json()["confusion"]


def test_runs_that_do_not_go_together_are_refused(files, taggers, tmp_path, capsys):
    other = write(tmp_path / "other.tsv", as_text([[("a", "X", "A"), ("b", "X", "B")]] * 4))
    done(capsys, "tag", "train", other, *TINY, "--validation-fraction", 0, "--out", tmp_path / "other")
    words = seqlm.train(files / "train.tsv", out=tmp_path / "words", max_steps=1, hidden_size=4, quiet=True).path
    for given, code, problem in [
        (["--with", taggers[0]], 2, f"{taggers[0]} is there twice, and counts once"),
        (["--with", tmp_path / "other"], 2, "predicts other labels than"),
        (["--with", tmp_path / "nowhere"], 1, "nowhere is not a run directory: it does not exist"),
        (
            ["--with", taggers[1], "--language-model", words],
            2,
            f"--language-model is of no use: none of the models reads {words}",
        ),
        (["--language-model", words, "--language-model", words], 2, "--language-model is given more than once"),
    ]:
        for command in ("apply", "evaluate"):
            found, out, err = run_cli(capsys, "tag", command, taggers[0], files / "new.tsv", *given)
            assert (found, out) == (code, "")
            assert err.startswith("seqlm: error: ")
            assert problem in err
            assert err.count("\n") == 1
