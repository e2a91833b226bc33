"""What can be done with an imported run, and what commands say of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from random_model import RandomModel
from random_run import language_run
from sequence_runs import learnable
from tagger_commands import done, run_cli

import seqlm_core as seqlm
from seqlm_core.training.extensions.plot import Plot

TRAINED = Path(__file__).resolve().parents[1] / "formats" / "runs" / "4-regularization" / "characters" / "run"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model that was exported to PyTorch, as a folder."""
    folder = tmp_path_factory.mktemp("models")
    run = language_run(folder / "run", RandomModel("gru", units=6, vocabulary_size=100, embedding_size=5))
    seqlm.export_pytorch(run, folder / "exported")
    return folder / "exported"


@pytest.fixture
def imported(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return seqlm.import_pytorch(exported, "imported")


def test_an_imported_run_makes_the_text_of_the_one_that_was_exported(exported, imported):
    original = seqlm.LanguageRun(exported.parent / "run")
    assert imported.sample("The ", length=40, seed=3) == original.sample("The ", length=40, seed=3)
    scores = [[line.bits for line in run.score_text("a line\nand another\n")] for run in (imported, original)]
    assert scores[0] == scores[1]


def test_it_is_evaluated_and_trained_on_as_a_new_run(imported, short_text, tmp_path, monkeypatch):
    monkeypatch.setattr(Plot, "_draw", lambda plot: None)
    (before,) = imported.evaluate(short_text)
    settings = {"max_steps": 30, "batch_size": 8, "sequence_length": 20, "warmup": 0, "dropout": 0.0, "quiet": True}
    new = seqlm.train(short_text, init_from=imported.path, out=tmp_path / "new", **settings)
    assert new.architecture == imported.architecture
    assert new.evaluate(short_text)[0].nats_per_token < before.nats_per_token - 0.1


def test_it_cannot_be_resumed(imported, exported, capsys):
    code, out, err = run_cli(capsys, "train", "--resume", "imported")
    assert (code, out) == (1, "")
    assert err == (
        f"seqlm: error: imported was imported from {exported}, so there is no training to go on with; --init-from "
        "begins one with its weights\n"
    )


def test_the_list_of_runs_says_that_it_was_imported(imported, capsys):
    out, _ = done(capsys, "runs", ".")
    assert out.splitlines()[1].split()[:6] == ["imported", "language", "model", "gru", "1", "x"]
    assert "imported" in out.splitlines()[1].split()[-1]
    (told,) = map(json.loads, done(capsys, "runs", ".", "--json")[0].splitlines())
    assert (told["state"], told["problem"], told["resume"], told["step"], told["best"]) == ("imported", *[None] * 4)


@pytest.mark.parametrize("arguments", [["report", "imported"], ["plot", "imported", "--out", "a.png"]])
def test_there_are_no_figures_of_it(imported, capsys, arguments):
    code, _, err = run_cli(capsys, *arguments)
    assert (code, err) == (2, "seqlm: error: imported has no figures: it was imported, and not trained here\n")


def test_a_report_shows_it_beside_others(imported, tmp_path):
    pytest.importorskip("plotly")
    seqlm.write_report(TRAINED, imported.path, out=tmp_path / "both.html")
    assert "imported" in (tmp_path / "both.html").read_text()


def test_there_is_no_file_of_settings_of_it(imported, exported, capsys):
    code, _, err = run_cli(capsys, "config", "imported")
    assert (code, err) == (
        2,
        f"seqlm: error: imported was imported from {exported}, and no command trained it\n",
    )


def test_it_is_replaced_only_if_that_is_asked_for(imported, exported, capsys):
    identity, weights = imported.directory.run_id, imported.weights
    code, _, err = run_cli(capsys, "import", exported, "--out", "imported")
    assert (code, err) == (
        2,
        "seqlm: error: --out imported holds another run, which --overwrite would replace\n",
    )
    done(capsys, "import", exported, "--out", "imported", "--overwrite")
    again = seqlm.LanguageRun("imported")
    assert again.directory.run_id != identity
    np.testing.assert_equal(again.weights, weights)


def test_a_tagger_with_pretrained_vectors_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(Plot, "_draw", lambda plot: None)
    (tmp_path / "vectors.txt").write_text("a 1 2\nb -1 0.5\nc 0 1\n")
    run = seqlm.SequenceModel(
        "tokens", "labels", hidden_size=3, epochs=1, dropout=0.0, min_count=1, embedding_size=2, log_every=0
    ).train(learnable(), out=tmp_path / "run", vectors=tmp_path / "vectors.txt", quiet=True)
    seqlm.export_pytorch(run, tmp_path / "exported")
    back = seqlm.import_pytorch(tmp_path / "exported", tmp_path / "back")
    sequences = [["a", "b", "f", "e", "c"], ["d"]]
    for found, wanted in zip(back.probabilities(sequences), run.probabilities(sequences)):
        np.testing.assert_array_equal(found, wanted)
    assert back.predict(sequences) == run.predict(sequences)
    seqlm.export_onnx(run, tmp_path / "onnx")
    printed = subprocess.run(
        [sys.executable, str(tmp_path / "onnx" / "predict.py"), "/dev/stdin"],
        input="\n\n".join("\n".join(sequence) for sequence in sequences),
        capture_output=True,
        text=True,
        timeout=60,
    )
    labels = [line.split("\t")[1] for line in printed.stdout.splitlines() if line]
    assert labels == [str(label) for sequence in run.predict(sequences) for label in sequence]
