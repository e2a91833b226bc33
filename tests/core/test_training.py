"""Trainings as a whole: what they leave behind, how they end, and going on with them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.storage.checkpoint import load_checkpoint
from seqlm_core.training.tasks.language import LanguageModelling

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]


def train(text, out, **settings):
    return seqlm.train(text, out=out, quiet=True, **{**SMALL, "epochs": 3, **settings})


def interrupt_at(monkeypatch, step, number=signal.SIGINT):
    """Make a signal arrive while a training computes this step."""
    original = LanguageModelling.loss

    def loss(task, window):
        if window.step == step:
            signal.raise_signal(number)
        return original(task, window)

    monkeypatch.setattr(LanguageModelling, "loss", loss)


def without_times(run):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.history()]


def samples(run):
    taken = run.training_samples() if isinstance(run, seqlm.LanguageRun) else []
    return [(sample["step"], sample["epoch"], sample["text"]) for sample in taken]


def assert_same_runs(one, other):
    for name in ("best", "last"):
        arrays, _ = load_checkpoint(getattr(one.directory, name))
        others, _ = load_checkpoint(getattr(other.directory, name))
        assert arrays.keys() == others.keys()
        for key in arrays:
            np.testing.assert_array_equal(arrays[key], others[key], err_msg=f"{name} {key}")
    assert without_times(one) == without_times(other)
    assert samples(one) == samples(other)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("at", [5, 33, 66])  # 33 windows an epoch: mid-epoch, and at the ends of epochs
def test_a_resumed_run_equals_an_uninterrupted_one(cell, at, short_text, tmp_path, monkeypatch):
    settings = {"cell": cell, "patience": 5, "warmup": 4, "layers": 2, "embedding_size": 8, "sample_every": 30}
    whole = train(short_text, tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, at)
        with pytest.raises(seqlm.TrainingInterrupted, match=r"seqlm_core\.resume\('.*/part'\)$") as caught:
            train(short_text, tmp_path / "part", **settings)
    assert caught.value.exit_code == 130
    assert [step for step, _, _ in samples(whole)] == [30, 60, 90]
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


def test_a_run_that_died_at_its_first_step_resumes(short_text, tmp_path, monkeypatch):
    whole = train(short_text, tmp_path / "whole", epochs=1)

    def die(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModelling, "loss", die)
        with pytest.raises(KeyboardInterrupt):
            train(short_text, tmp_path / "part", epochs=1)
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_every_optimizer_resumes_exactly(optimizer, short_text, tmp_path, monkeypatch):
    whole = train(short_text, tmp_path / "whole", optimizer=optimizer, epochs=1)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 7, signal.SIGTERM)
        with pytest.raises(seqlm.TrainingInterrupted) as caught:
            train(short_text, tmp_path / "part", optimizer=optimizer, epochs=1)
    assert caught.value.exit_code == 143
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


@pytest.fixture
def hangup_handler():
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def test_sighup_saves_a_run_that_resumes_exactly_even_if_it_comes_twice(
    short_text, tmp_path, monkeypatch, hangup_handler
):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    whole = train(short_text, tmp_path / "whole", epochs=1)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 7, signal.SIGHUP)
        interrupt_at(patch, 7, signal.SIGHUP)
        with pytest.raises(seqlm.TrainingInterrupted) as caught:
            train(short_text, tmp_path / "part", epochs=1)
    assert caught.value.exit_code == 128 + signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


def test_sighup_that_was_ignored_before_the_training_stays_ignored(short_text, tmp_path, monkeypatch, hangup_handler):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt_at(monkeypatch, 7, signal.SIGHUP)
    run = train(short_text, tmp_path / "run", epochs=1)
    assert run.history()[-1]["epoch"] == 1


def test_the_same_seed_gives_the_same_run_and_another_does_not(short_text, tmp_path):
    one = train(short_text, tmp_path / "1", epochs=1)
    assert_same_runs(one, train(short_text, tmp_path / "2", epochs=1))
    other = train(short_text, tmp_path / "3", epochs=1, seed=2)
    assert without_times(one) != without_times(other)


def test_resuming_a_finished_run_leaves_it_alone(trained, caplog):
    run = trained(cell="gru")
    before = run.directory.last.read_bytes(), run.directory.history.read_bytes()
    seqlm.resume(run.path, quiet=True)
    assert before == (run.directory.last.read_bytes(), run.directory.history.read_bytes())


def test_more_epochs_go_on_where_a_constant_rate_allows_it(short_text, tmp_path):
    whole = train(short_text, tmp_path / "whole", schedule="constant", epochs=3)
    train(short_text, tmp_path / "part", schedule="constant", epochs=1)
    resumed = seqlm.resume(tmp_path / "part", quiet=True, epochs=3)
    assert_same_runs(whole, resumed)
    assert resumed.settings.epochs == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 32}, "hidden_size: was 16 when the run began"),
        (
            {"epochs": 9},
            "epochs: cannot change on resuming a run whose cosine schedule depends on it; `init_from` .*/run begins "
            "a new run with its weights, and a run with `schedule` constant or plateau can be made longer",
        ),
    ],
)
def test_a_change_that_would_break_the_run_is_refused_by_name(trained, change, message):
    with pytest.raises(seqlm.SettingError, match=message):
        seqlm.resume(trained(cell="gru").path, quiet=True, **change)


def test_resuming_on_a_changed_or_missing_text_is_refused(short_text, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(short_text.read_text())
    train(text, tmp_path / "run", epochs=1)
    text.write_text(short_text.read_text() + "more")
    with pytest.raises(seqlm.RunError, match="has changed"):
        seqlm.resume(tmp_path / "run", quiet=True)
    text.unlink()
    with pytest.raises(seqlm.RunError, match="no such file"):
        seqlm.resume(tmp_path / "run", quiet=True)


def test_a_run_directory_holds_what_it_should(trained, short_text):
    run = trained(cell="gru")
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        "config.json", "vocabulary.json", "best.safetensors", "last.safetensors", "history.jsonl", "loss.png",
    }  # fmt: skip
    config = json.loads(run.directory.config.read_text())
    assert config["settings"]["cell"] == "gru"
    assert config["settings"]["learning_rate"] > 0
    assert config["texts"]["training"][0]["path"] == str(short_text)
    assert config["plugins"]["cell"] == {"name": "gru", "distribution": "seqlm", "version": seqlm.__version__}
    assert run.directory.picture.read_bytes().startswith(b"\x89PNG")


def test_history_has_reports_and_epochs_with_figures(trained):
    history = trained(cell="gru", epochs=2).history()
    reports = [record for record in history if record["kind"] == "report"]
    epochs = [record for record in history if record["kind"] == "epoch"]
    assert [record["step"] for record in reports] == [10, 20, 30, 40, 50, 60]
    assert [record["epoch"] for record in epochs] == [1, 2]
    assert epochs[1]["validation_nats_per_token"] < epochs[0]["validation_nats_per_token"]
    # An epoch's loss is the mean over its steps: 33 of them, reported in tens.
    assert min(r["training_nats_per_token"] for r in reports[:3]) < epochs[0]["training_nats_per_token"]


def test_the_best_epoch_is_kept_when_later_ones_are_worse(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", cell="gru", epochs=12, learning_rate=0.03, hidden_size=64, dropout=0.0)
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    lowest = min(epochs, key=lambda record: record["validation_nats_per_token"])
    assert lowest["step"] < epochs[-1]["step"]
    _, state = load_checkpoint(run.directory.best)
    assert state["record"]["step"] == lowest["step"]
    assert [r["best"] for r in epochs][epochs.index(lowest) :] == [True] + [False] * (len(epochs) - lowest["epoch"])


def test_patience_ends_a_training_that_gets_no_better(short_text, tmp_path):
    settings = {"cell": "gru", "learning_rate": 0.03, "hidden_size": 64, "dropout": 0.0, "epochs": 40}
    run = train(short_text, tmp_path / "run", patience=2, **settings)
    best = [record["best"] for record in run.history() if record["kind"] == "epoch"]
    assert len(best) < 40
    assert best[-3:] == [True, False, False]
    steps = run.history()[-1]["step"]
    assert seqlm.resume(run.path, quiet=True).history()[-1]["step"] == steps


def test_the_best_of_a_bidirectional_run_is_the_mean_of_its_two_figures(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", cell="bigru", epochs=8, learning_rate=0.03, hidden_size=64, dropout=0.0)
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    means = [(r["validation_nats_per_token"] + r["both_sides_nats_per_token"]) / 2 for r in epochs]
    _, state = load_checkpoint(run.directory.best)
    assert state["record"]["epoch"] == 1 + int(np.argmin(means))


def test_without_validation_the_best_is_the_lowest_training_loss(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", validation_fraction=0.0, epochs=2)
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    assert [record["best"] for record in epochs] == [True, True]
    assert "validation_nats_per_token" not in epochs[0]


def test_max_steps_ends_within_an_epoch_and_still_validates(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", max_steps=7)
    (epoch,) = [record for record in run.history() if record["kind"] == "epoch"]
    assert epoch["step"] == 7
    assert epoch["best"]
    assert "validation_nats_per_token" in epoch


NOT_FINITE = (
    r"at step \d+; try a lower `learning_rate`, a `clip_norm` such as 1 \(with 0 nothing is clipped\) or a longer "
    "`warmup`"
)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_last_good_checkpoint(short_text, tmp_path):
    train(short_text, tmp_path / "good", schedule="constant", epochs=1, cell="rnn", optimizer="sgd")
    with pytest.raises(seqlm.NonFiniteLossError, match=NOT_FINITE):
        train(
            short_text, tmp_path / "run", cell="rnn", cell_options={"activation": "relu"}, optimizer="sgd",
            learning_rate=1e6, clip_norm=0.0,
        )  # fmt: skip
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_dropout_acts_in_training_and_not_in_evaluation(short_text, tmp_path):
    with_dropout = train(short_text, tmp_path / "with", dropout=0.8, max_steps=1, log_every=1)
    without = train(short_text, tmp_path / "without", dropout=0.0, max_steps=1, log_every=1)
    loss = [run.history()[0]["training_nats_per_token"] for run in (with_dropout, without)]
    assert loss[0] != loss[1]
    (one,), (two,) = with_dropout.evaluate(short_text), with_dropout.evaluate(short_text)
    assert one == two


def seqlm_text(run):
    return Path(run.config["texts"]["training"][0]["path"])


def test_a_short_text_gets_a_smaller_batch_and_says_so(tmp_path, caplog, short_text):
    text = tmp_path / "text.txt"
    text.write_text(short_text.read_text()[:100])
    with caplog.at_level("INFO", logger="seqlm"):
        train(text, tmp_path / "run", epochs=1)
    assert "4 windows side by side instead of 8" in caplog.text
