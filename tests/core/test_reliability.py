"""Runs survive faults: killed processes, full disks, damaged files. The long forms are in ``tests/faults``."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.command_line.assignments import parse_assignments
from seqlm_core.engine.mxnet import autograd, nd
from seqlm_core.plugins.options import make_options
from seqlm_core.reading.corpus import read_corpus
from seqlm_core.settings.fields import make_settings
from seqlm_core.storage.checkpoint import load_checkpoint
from seqlm_core.training.tasks.language import LanguageModelling

FAULTS = Path(__file__).resolve().parents[1] / "faults"


def train(text, out, **changes):
    return seqlm.train(text, out=out, quiet=True, **{**SMALL, "epochs": 1, **changes})


@pytest.mark.parametrize(
    "command",
    [
        ["kill.py", "--kills", "3", "--overwrites", "1"],
        ["damage.py", "--copies", "150"],
        ["hostile.py", "--cases", "60"],
    ],
    ids=" ".join,
)
def test_a_short_form_of_the_fault_tests(command):
    done = subprocess.run([sys.executable, FAULTS / command[0], *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(told in done.stdout for told in ("0 lost", "none loaded altered", "\n0 faults"))


def test_a_file_that_cannot_grow_ends_the_training_with_the_line_that_resumes(short_text, tmp_path):
    out = tmp_path / "run"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, 25_000)); "
    run = "from seqlm_core.command_line.main import main; main()"
    options = [
        "--hidden-size",
        "16",
        "--sequence-length",
        "20",
        "--batch-size",
        "8",
        "--log-every",
        "1",
        "--epochs",
        "20",
        "--quiet",
    ]
    command = [sys.executable, "-c", limit + run, "train", short_text, "--out", out, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("seqlm: error: ")
    assert "File too large" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_directory_that_is_trained_into_is_refused_to_others(trained, short_text, tmp_path):
    run = trained(cell="gru", max_steps=3)
    holder = os.open(run.path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(seqlm.RunError, match="another process is training into"):
            seqlm.resume(run.path, quiet=True)
        with pytest.raises(seqlm.RunError, match="another process is training into"):
            train(short_text, run.path, overwrite=True)
    finally:
        os.close(holder)
    seqlm.resume(run.path, quiet=True)


def test_checkpoints_by_steps_are_between_the_epochs(short_text, tmp_path, monkeypatch):
    saved = []
    original = seqlm.LanguageRun(train(short_text, tmp_path / "whole").path).directory.__class__.save

    def save(directory, path, arrays, state):
        original(directory, path, arrays, state)
        if path.name == "last.safetensors":
            saved.append(state["training"]["step"])

    monkeypatch.setattr("seqlm_core.runs.directory.RunDirectory.save", save)
    train(short_text, tmp_path / "run", checkpoint_every="10", max_steps=25)
    assert saved == [0, 10, 20, 25, 25]  # once more after the closing evaluation, which the history then has
    saved.clear()
    train(short_text, tmp_path / "timed", checkpoint_every="0.000001m", max_steps=4)
    assert saved == [0, 1, 2, 3, 4, 4]


def test_a_run_that_died_before_its_first_step_begins_again(short_text, tmp_path):
    whole = train(short_text, tmp_path / "whole")
    begun = tmp_path / "begun"
    begun.mkdir()
    for name in ("config.json", "vocabulary.json"):
        shutil.copy(whole.path / name, begun)
    (begun / ".last.safetensors.0123abcd").write_bytes(b"half of a file")
    resumed = seqlm.resume(begun, quiet=True)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, resumed.weights[name])


def test_what_a_dead_process_left_does_not_stand_in_the_way(short_text, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / ".config.json.0123abcd").write_bytes(b"half of a file")
    (out / "history.jsonl").touch()
    train(short_text, out, max_steps=1)
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors", "config.json", "vocabulary.json"])
def test_links_are_not_followed(name, trained, tmp_path):
    shutil.copytree(trained(cell="gru").path, tmp_path / "run")
    moved = (tmp_path / "run" / name).rename(tmp_path / name)
    (tmp_path / "run" / name).symlink_to(moved)
    with pytest.raises(seqlm.RunError, match="symbolic link"):
        use_everything(tmp_path / "run")


def use_everything(path):
    seqlm.LanguageRun(path).sample(length=1)
    seqlm.resume(path, quiet=True)


def test_a_damaged_last_checkpoint_leaves_the_best_usable_and_says_so(trained, tmp_path):
    shutil.copytree(trained(cell="gru").path, tmp_path / "run")
    last = tmp_path / "run" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-10])
    with pytest.raises(seqlm.RunError, match=r"last\.safetensors is damaged.*its best weights are whole"):
        seqlm.resume(tmp_path / "run", quiet=True)
    assert len(seqlm.LanguageRun(tmp_path / "run").sample(length=5)) == 5


def test_best_and_last_are_not_taken_for_each_other(trained, tmp_path):
    shutil.copytree(trained(cell="gru").path, tmp_path / "run")
    shutil.copy(tmp_path / "run" / "best.safetensors", tmp_path / "run" / "last.safetensors")
    with pytest.raises(seqlm.RunError, match=r"is another file of a run, 'best\.safetensors', under this name"):
        seqlm.resume(tmp_path / "run", quiet=True)


def test_a_new_run_begins_with_the_weights_of_another(trained, short_text, tmp_path):
    earlier = trained(cell="gru")
    other = tmp_path / "other.txt"
    other.write_text(short_text.read_text()[3000:] + "\u00e9")
    run = train(other, tmp_path / "run", cell="gru", init_from=earlier.path, learning_rate=1e-12, max_steps=1)
    assert run.vocabulary.tokens == earlier.vocabulary.tokens
    for name, array in earlier.weights.items():
        np.testing.assert_allclose(run.weights[name], array, atol=1e-6)
    _, state = load_checkpoint(run.directory.last)
    assert state["training"]["step"] == 1
    same = {"cell_options": {}, "tokenizer": "char", "hidden_size": 16}
    train(other, tmp_path / "same", cell="gru", init_from=earlier.path, max_steps=1, **same)
    with pytest.raises(seqlm.SettingError, match="hidden_size: is 16 in the run to begin from, and cannot be 32"):
        train(other, tmp_path / "no", cell="gru", init_from=earlier.path, hidden_size=32)


def test_an_option_written_as_text_is_the_one_of_the_run_to_begin_from(trained, short_text, tmp_path):
    earlier = trained(cell="lstm", cell_options={"forget_bias": 2.0}, max_steps=2)
    begin = {"cell": "lstm", "init_from": earlier.path, "max_steps": 1}
    train(short_text, tmp_path / "run", cell_options={"forget_bias": "2"}, **begin)
    with pytest.raises(seqlm.SettingError, match="cell_options: is"):
        train(short_text, tmp_path / "no", cell_options={"forget_bias": "1"}, **begin)


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(short_text, tmp_path, monkeypatch):
    whole = train(short_text, tmp_path / "whole", epochs=3)
    original = LanguageModelling.loss
    with monkeypatch.context() as patch:
        patch.setattr(LanguageModelling, "loss", lambda *a: original(*a) * (np.nan if a[1].step == 40 else 1))
        with pytest.raises(seqlm.NonFiniteLossError, match="the training loss is nan at step 41"):
            train(short_text, tmp_path / "run", epochs=3)
    _, state = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert state["training"]["step"] == 33
    assert (tmp_path / "run" / "loss.png").read_bytes().startswith(b"\x89PNG")
    resumed = seqlm.resume(tmp_path / "run", quiet=True)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, resumed.weights[name])


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_detect_anomaly_names_the_first_layer_that_went_bad(cell, short_text, tmp_path, monkeypatch):
    original = LanguageModelling.loss

    def loss(task, window):
        if window.step == 3:
            bias = task.network.forward_stack.layers[1].h2h_bias
            with autograd.pause():
                bias.set_data(nd.full(bias.shape, np.nan))
        return original(task, window)

    monkeypatch.setattr(LanguageModelling, "loss", loss)
    with pytest.raises(seqlm.NonFiniteLossError, match=r"the outputs of forward_stack\.1 are not finite at step 4"):
        train(short_text, tmp_path / "run", cell=cell, layers=2, detect_anomaly=True)


def test_detect_anomaly_names_a_gradient_that_went_bad(short_text, tmp_path, monkeypatch):
    original = LanguageModelling.loss
    monkeypatch.setattr(
        LanguageModelling, "loss", lambda *a: original(*a) * 1e30 * 1e30 if a[1].step == 2 else original(*a)
    )
    with pytest.raises(seqlm.NonFiniteLossError, match=r"the gradient of \S+ is not finite at step 3"):
        train(short_text, tmp_path / "run", detect_anomaly=True)


@pytest.mark.parametrize("name", ["char", "word"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_read_or_refused_as_a_text(name, data, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(data)
    spec = seqlm.installed_plugins().tokenizers.get(name)
    tokenizer = spec.build(spec.options())
    try:
        corpus = read_corpus([path], tokenizer, validation_fraction=0.1)
    except seqlm.TextError:
        return
    parts = [part for part in (corpus.training, corpus.validation) if part is not None]
    text = data.decode("utf-8-sig")
    assert sum(len(part) for part in parts) >= len(tokenizer.tokenize(text))
    assert (
        tokenizer.detokenize([corpus.vocabulary.tokens[i] for i in corpus.training.ids]) == text[: int(len(text) * 0.9)]
    )


SETTINGS = [field.name for field in dataclasses.fields(seqlm.LanguageSettings)]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.binary(max_size=3),
    st.just({}),
    st.just([]),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text that is drawn takes a second
@given(st.dictionaries(st.sampled_from(SETTINGS), VALUES, max_size=3))
def test_any_settings_are_accepted_or_refused_as_such(given_settings):
    try:
        made = make_settings(seqlm.LanguageSettings, given_settings)
    except seqlm.UsageError as error:
        assert str(error)  # noqa: PT017
    else:
        given_settings = {name: value for name, value in given_settings.items() if (name, value) != ("layers", None)}
        assert all(getattr(made, name) == value for name, value in given_settings.items())  # no layers: one is chosen


@settings(deadline=None)
@given(
    st.sampled_from(["lstm", "rnn", "adam", "sgd"]),
    st.lists(st.text(max_size=12) | st.just("momentum=0.5"), max_size=3),
)
def test_any_option_texts_are_accepted_or_refused_as_such(name, texts):
    plugins = seqlm.installed_plugins()
    registry = plugins.cells if name in plugins.cells.names() else plugins.optimizers
    try:
        make_options(registry.get(name), parse_assignments(texts, registry.kind))
    except seqlm.UsageError as error:
        assert len(str(error).splitlines()) <= 2 or any("\n" in text for text in texts)  # noqa: PT017


def test_a_second_ctrl_c_stops_at_once_with_the_last_checkpoint_whole(short_text, tmp_path, monkeypatch):
    original = LanguageModelling.loss

    def loss(task, window):
        if window.step == 40:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return original(task, window)

    whole = train(short_text, tmp_path / "whole", epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(LanguageModelling, "loss", loss)
        with pytest.raises(KeyboardInterrupt):
            train(short_text, tmp_path / "run", epochs=2)
    _, state = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert state["training"]["step"] == 33
    resumed = seqlm.resume(tmp_path / "run", quiet=True)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, resumed.weights[name])


def test_a_line_of_a_hundred_megabytes_is_read(tmp_path):
    path = tmp_path / "text.txt"
    with path.open("w") as file:
        for _ in range(100):
            file.write("word, " * 20 + "x" * 999_880)
    spec = seqlm.installed_plugins().tokenizers.get("word")
    corpus = read_corpus([path], spec.build(spec.options()))
    assert corpus.training.characters == pytest.approx(100_000_000, abs=1000)
