"""Runs with 8 bits a weight: what is in them, what can be done with them, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from tagger_commands import run_cli

import seqlm_core as seqlm
from seqlm_core.runs.opening import open_run
from seqlm_core.runs.stored_weights import SHORTEST_ROW
from seqlm_core.storage.checkpoint import save_checkpoint

FORMATS = Path(__file__).parents[1] / "formats" / "runs"
NEWEST = sorted(FORMATS.iterdir())[-1]
KINDS = ["two-directions", "lines", "rare-words", "columns", "forecaster"]
NOT_NEEDED = {"last.safetensors", "standard-input.txt", "training-examples.jsonl", "validation-examples.jsonl"}


def copied(kind, folder):
    """Return a copy of an interrupted run of a kind, since opening one may change its directory."""
    shutil.copytree(NEWEST / kind / "run", folder)
    return open_run(folder)


@pytest.fixture
def run(tmp_path):
    return copied("characters", tmp_path / "run")


@pytest.fixture(scope="module")
def larger(trained, tmp_path_factory):
    """A run of which the weights are nearly all, and the smaller one that was made of it."""
    run = trained(hidden_size=128, epochs=1)
    return run, run.compress(tmp_path_factory.mktemp("compressed") / "run")


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def made_of(run):
    """Return numbers that a model computes."""
    if isinstance(run, seqlm.LanguageRun):
        return np.array([token.bits for token in run.score_text("The bridge was old.", per="token") if token.bits])
    columns = "columns" in run.path.parent.name
    words = [(word, str(len(word))) if columns else word for word in ("the", "bridge")]
    inputs = [words] if run.architecture.inputs == "tokens" else [[[0.1], [0.5]]]
    return np.concatenate(run.predict(inputs) if inputs[0] != words else run.probabilities(inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_any_kind_is_used_as_before_with_weights_within_half_a_step(kind, tmp_path):
    run = copied(kind, tmp_path / kind / "run")
    smaller = run.compress(tmp_path / kind / "smaller")
    assert type(smaller) is type(run)
    assert smaller.weights.keys() == run.weights.keys()
    for name, weight in run.weights.items():
        found = smaller.weights[name]
        assert found.dtype == np.float32
        if weight.ndim == 2 and weight.shape[1] >= SHORTEST_ROW:
            assert (np.abs(found - weight) <= 1.001 / 254 * np.abs(weight).max(axis=1, keepdims=True)).all()
            assert len(np.unique(found[0])) <= 255
        else:
            np.testing.assert_array_equal(found, weight)
    np.testing.assert_allclose(made_of(smaller), made_of(run), atol=0.2)
    there, here = ({path.name for path in one.path.iterdir()} for one in (run, smaller))
    assert here == there - NOT_NEEDED


def test_a_run_takes_about_a_quarter_and_loses_less_than_a_hundredth_of_a_nat(larger, short_text):
    run, smaller = larger
    assert smaller.weights_file.stat().st_size < 0.29 * run.weights_file.stat().st_size
    before, after = (one.evaluate(short_text)[0].nats_per_token for one in larger)
    assert abs(after - before) < 0.01
    assert after != before


def test_text_is_made_with_the_weights_that_8_bits_stand_for(larger, monkeypatch):
    _, smaller = larger
    drawn = smaller.generate("The ", length=100, seed=1, temperature=1.0)
    monkeypatch.setenv("SEQLM_NATIVE", "0")
    (by_numpy,) = seqlm.LanguageRun(smaller.path).generate("The ", length=100, seed=1, temperature=1.0)
    assert drawn[0].text == by_numpy.text
    np.testing.assert_allclose(drawn[0].log_probabilities, by_numpy.log_probabilities, atol=1e-4)


def test_the_checkpoint_has_whole_numbers_with_a_scale_for_each_row_and_small_arrays_as_they_are(run, tmp_path):
    smaller = run.compress(tmp_path / "smaller")
    arrays = load_file(smaller.weights_file)
    assert arrays["quantized/forward_stack.0.h2h_weight"].dtype == np.int8
    assert arrays["scales/forward_stack.0.h2h_weight"].shape == (32,)
    np.testing.assert_array_equal(arrays["model/head.bias"], run.weights["head.bias"])
    np.testing.assert_allclose(
        arrays["quantized/forward_stack.0.h2h_weight"] * arrays["scales/forward_stack.0.h2h_weight"][:, None],
        smaller.weights["forward_stack.0.h2h_weight"],
        rtol=1e-6,
    )


def test_it_is_a_run_of_its_own_that_says_what_it_was_made_of(run, tmp_path):
    smaller = run.compress(tmp_path / "smaller")
    assert smaller.config["format"] == 3
    assert smaller.config["compressed"]["bits"] == 8
    assert smaller.config["compressed"]["from"] == str(run.path.resolve())
    with safe_open(run.weights_file, framework="np") as file:
        assert smaller.config["compressed"]["weights"] == file.metadata()["digest"]
    assert smaller.config["run_id"] != run.config["run_id"]
    assert smaller.records() == run.records()
    kept = run.path.resolve() / "standard-input.txt"
    assert [text["path"] for text in smaller.config["texts"]["training"]] == [str(kept)]
    shutil.copy(run.path / "vocabulary.json", smaller.path)
    with pytest.raises(seqlm.RunError, match="belongs to another run"):
        _ = seqlm.LanguageRun(smaller.path).vocabulary


def test_it_is_listed_as_compressed_with_the_figure_of_the_run_that_it_was_made_of(run, tmp_path):
    run.compress(tmp_path / "smaller")
    before, after = seqlm.find_runs(tmp_path)
    assert (after.state, after.problem) == ("compressed", None)
    assert (after.best, after.unit, after.units) == (before.best, before.unit, before.units)
    assert after.step == max(record["step"] for record in run.history() if record.get("best"))


def test_a_run_that_was_imported_is_compressed_too(run, tmp_path):
    seqlm.export_pytorch(run, tmp_path / "exported")
    imported = seqlm.import_pytorch(tmp_path / "exported", tmp_path / "imported")
    smaller = imported.compress(tmp_path / "smaller")
    for name, weight in run.compress(tmp_path / "of-the-run").weights.items():
        np.testing.assert_array_equal(smaller.weights[name], weight)
    states = {found.path.name: found.state for found in seqlm.find_runs(tmp_path)}
    assert states["imported"] == "imported"
    assert states["smaller"] == "compressed"


def test_a_run_before_its_first_epoch_has_the_weights_of_its_last_checkpoint(run, tmp_path):
    last = load_file(run.path / "last.safetensors")
    (run.path / "best.safetensors").unlink()
    smaller = seqlm.LanguageRun(run.path).compress(tmp_path / "smaller")
    np.testing.assert_array_equal(smaller.weights["head.bias"], last["model/head.bias"])
    found = seqlm.find_runs(smaller.path)[0]
    assert (found.state, found.best, found.step) == ("compressed", None, seqlm.find_runs(run.path)[0].step)


def test_another_training_begins_with_its_weights(run, tmp_path, short_text):
    smaller = run.compress(tmp_path / "smaller")
    nothing_learnt = {"max_steps": 1, "learning_rate": 1e-9, "epochs": None}
    later = seqlm.train(short_text, init_from=smaller.path, out=tmp_path / "later", quiet=True, **nothing_learnt)
    assert later.config["format"] == 2
    for name, weight in smaller.weights.items():
        np.testing.assert_allclose(later.weights[name], weight, atol=1e-7)


def test_what_cannot_be_done_is_refused_in_a_line(run, tmp_path, capsys):
    smaller = tmp_path / "smaller"
    code, out, _ = run_cli(capsys, "compress", str(run.path), "--out", str(smaller))
    sizes = [one.stat().st_size for one in (smaller / "best.safetensors", run.path / "best.safetensors")]
    assert (code, out) == (0, f"{smaller}: {sizes[0]:,} bytes of weights instead of {sizes[1]:,}\n")
    before = files(tmp_path)
    other = str(tmp_path / "other")
    for arguments, message in (
        (["compress", smaller, "--out", other], f"{smaller} is compressed already"),
        (["train", "--resume", smaller], f"{smaller} is compressed, so it cannot go on; --init-from begins another"),
        (["compress", run.path, "--out", other, "--bits", "4"], "--bits must be 8, not 4"),
        (["compress", run.path, "--out", smaller], f"--out {smaller} holds another run, which --overwrite would"),
        (["compress", run.path, "--out", run.path, "--overwrite"], f"--out {run.path} is the run itself"),
        (["compress", run.path, "--out", tmp_path], f"--out {tmp_path} holds other files and no run"),
    ):
        code, _, err = run_cli(capsys, *map(str, arguments))
        assert code == 2
        assert err.startswith(f"seqlm: error: {message}")
        assert "go on with" not in err
    assert files(tmp_path) == before
    (run.path / "best.safetensors").unlink()
    (run.path / "last.safetensors").unlink()
    code, _, err = run_cli(capsys, "compress", str(run.path), "--out", other)
    assert (code, err) == (1, f"seqlm: error: {run.path} has no weights yet\n")


def test_another_run_is_replaced_when_the_new_one_is_whole(run, tmp_path, monkeypatch):
    smaller = run.compress(tmp_path / "smaller")
    before = files(tmp_path)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqlm_core.runs.compression.write_atomically", full)
    for out, options in ((smaller.path, {"overwrite": True}), (tmp_path / "new", {})):
        with pytest.raises(seqlm.SeqlmError, match="cannot be written: No space left on device"):
            run.compress(out, **options)
    assert files(tmp_path) == before
    assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    again = run.compress(smaller.path, overwrite=True)
    assert again.config["run_id"] != smaller.config["run_id"]
    assert {path.name for path in again.path.iterdir()} == {path.name for path in map(Path, files(smaller.path))}


@pytest.mark.parametrize("damage", ["without scales", "other scales", "floats", "twice", "other shape"])
def test_weights_that_do_not_fit_are_refused(damage, run, tmp_path):
    smaller = run.compress(tmp_path / "smaller")
    path, name = smaller.weights_file, "forward_stack.0.h2h_weight"
    arrays = load_file(path)
    if damage == "without scales":
        del arrays[f"scales/{name}"]
    elif damage == "other scales":
        arrays[f"scales/{name}"] = arrays[f"scales/{name}"][:-1]
    elif damage == "floats":
        arrays[f"quantized/{name}"] = arrays[f"quantized/{name}"].astype(np.float32)
    elif damage == "twice":
        arrays[f"model/{name}"] = run.weights[name]
    else:
        arrays[f"quantized/{name}"] = arrays[f"quantized/{name}"][:, :-1].copy()
    with safe_open(path, framework="np") as file:
        state = json.loads(file.metadata()["state"])
    save_checkpoint(path, arrays, state)
    with pytest.raises(seqlm.RunError, match=f"does not fit config.json: parameter '{name}'"):
        _ = seqlm.LanguageRun(smaller.path).weights
