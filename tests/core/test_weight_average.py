"""Averages of the weights: what they are, what uses them, and that a resumed training goes on with them exactly."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SMALL
from sequence_runs import SMALL as SMALL_SEQUENCES
from sequence_runs import learnable

import seqlm_core as seqlm
from seqlm_core.model.build import weights_of
from seqlm_core.storage.checkpoint import load_checkpoint, select
from seqlm_core.training.extensions.samples import ModelSampler

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]
# An epoch has 8 steps.
FEW = {**SMALL, "batch_size": 32, "warmup": 2, "learning_rate": 0.05, "schedule": "constant"}


class Recorder(seqlm.Extension):
    """Keeps the weights of every step, and the validation losses."""

    def __init__(self, dies_at=None):
        self.weights = []
        self.losses = []
        self.dies_at = dies_at

    def on_step(self, training):
        self.weights.append({name: p.data().asnumpy().astype(np.float64) for name, p in training.parameters.items()})

    def on_epoch(self, training, record):
        self.losses.append(record.get("validation_nats_per_token"))

    def on_step_end(self, training):
        if training.step == self.dies_at:
            raise KeyboardInterrupt


def train(text, out, **settings):
    return seqlm.train(text, out=out, quiet=True, **{**FEW, **settings})


def moving_average(weights, decay):
    """Return the exponential moving average of the weights of all steps; its decay is (1 + t) / (10 + t) at first."""
    average = weights[0]
    for step, now in enumerate(weights[1:], start=1):
        kept = min(decay, (1 + step) / (10 + step))
        average = {name: kept * average[name] + (1 - kept) * now[name] for name in now}
    return average


def mean(weights):
    return {name: np.mean([some[name] for some in weights], axis=0) for name in weights[0]}


def first_averaged_step(losses, steps_per_epoch):
    """Return the number of steps before the first that counts: Merity et al. 2018, algorithm 1, with n = 5."""
    for t, loss in enumerate(losses):
        if t > 5 and loss > min(losses[: t - 5]):
            return (t + 1) * steps_per_epoch
    raise AssertionError("the loss does not stall")


def assert_close(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def last(run, group):
    return select(load_checkpoint(run.directory.last)[0], f"{group}/")


def without_times(run):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.history()]


def assert_same_runs(one, other):
    for name in ("best", "last"):
        arrays, others = (load_checkpoint(getattr(run.directory, name))[0] for run in (one, other))
        assert {key: array.tobytes() for key, array in arrays.items()} == {k: a.tobytes() for k, a in others.items()}
    assert without_times(one) == without_times(other)


@pytest.mark.parametrize("native", ["1", "0"])
@pytest.mark.parametrize("cell", CELLS)
def test_ema_is_the_average_of_the_weights_of_every_step(cell, native, short_text, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQLM_NATIVE", native)
    recorder = Recorder()
    settings = {"cell": cell, "layers": 2, "average": "ema", "average_decay": 0.8, "epochs": 4}
    run = train(short_text, tmp_path / "run", extensions=[recorder], **settings)
    assert_close(last(run, "average"), moving_average(recorder.weights, 0.8))
    assert_close(last(run, "model"), recorder.weights[-1])
    best = next(record["step"] for record in reversed(run.history()) if record.get("best"))
    assert_close(run.weights, moving_average(recorder.weights[:best], 0.8))


def test_a_sequence_model_is_averaged_too(tmp_path):
    recorder = Recorder()
    model = seqlm.SequenceModel(**{**SMALL_SEQUENCES, "average": "ema", "epochs": 4})
    run = model.train(learnable(), out=tmp_path / "run", quiet=True, extensions=[recorder])
    assert_close(last(run, "average"), moving_average(recorder.weights, 0.998))
    best = next(record["step"] for record in reversed(run.history()) if record.get("best"))
    assert_close(run.weights, moving_average(recorder.weights[:best], 0.998))


def test_triggered_is_the_mean_of_the_weights_since_the_validation_loss_stalled(short_text, unlearnable, tmp_path):
    recorder = Recorder()
    settings = {"average": "triggered", "epochs": 10, "validation": unlearnable, "extensions": [recorder]}
    run = train(short_text, tmp_path / "run", **settings)
    steps = run.history()[-1]["step"]
    first = first_averaged_step(recorder.losses, steps // 10)
    assert 7 * (steps // 10) <= first < steps
    assert_close(last(run, "average"), mean(recorder.weights[first:]))
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    assert [record.get("averaged", False) for record in epochs] == [record["step"] > first for record in epochs]


def test_triggered_does_not_begin_while_the_validation_loss_falls(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", average="triggered", epochs=8, learning_rate=0.002)
    losses = [record["validation_nats_per_token"] for record in run.history() if record["kind"] == "epoch"]
    assert losses == sorted(losses, reverse=True)
    assert not last(run, "average")


def test_the_figures_are_those_of_the_averaged_model(short_text, unlearnable, tmp_path):
    run = train(short_text, tmp_path / "run", average="ema", epochs=1, validation=unlearnable)
    plain = train(short_text, tmp_path / "plain", epochs=1, validation=unlearnable)
    (figures,), (plain_figures,) = run.evaluate(unlearnable), plain.evaluate(unlearnable)
    assert run.history()[-1]["validation_nats_per_token"] == pytest.approx(figures.nats_per_token, rel=1e-9)
    assert abs(figures.nats_per_token - plain_figures.nats_per_token) > 0.01


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_the_training_itself_goes_on_as_without_an_average(cell, short_text, tmp_path):
    averaged = train(short_text, tmp_path / "averaged", cell=cell, average="ema", epochs=3)
    plain = train(short_text, tmp_path / "plain", cell=cell, epochs=3)
    for group in ("model", "optimizer", "task"):
        one, other = last(averaged, group), last(plain, group)
        assert {name: array.tobytes() for name, array in one.items()} == {n: a.tobytes() for n, a in other.items()}
    assert not last(plain, "average")
    losses = [[r["training_nats_per_token"] for r in run.history()] for run in (averaged, plain)]
    assert losses[0] == losses[1]


def test_samples_in_training_are_those_of_the_averaged_model(short_text, tmp_path, monkeypatch):
    sampled, original = [], ModelSampler.__call__

    def sample(sampler, step):
        sampled.append((step, weights_of(sampler.network)))
        return original(sampler, step)

    monkeypatch.setattr(ModelSampler, "__call__", sample)
    recorder = Recorder()
    settings = {**FEW, "average": "ema", "epochs": 2, "sample_every": 5}
    seqlm.train(short_text, out=tmp_path / "run", extensions=[recorder], **settings)
    assert [step for step, _ in sampled] == [5, 10, 15]
    for step, weights in sampled:
        assert_close(weights, moving_average(recorder.weights[:step], 0.998))


AVERAGES = {"ema": {"average": "ema", "average_decay": 0.9}, "triggered": {"average": "triggered"}}


@pytest.mark.parametrize("average", AVERAGES)
def test_a_run_that_died_within_an_epoch_goes_on_exactly(average, short_text, unlearnable, tmp_path):
    settings = {**AVERAGES[average], "epochs": 10, "validation": unlearnable, "checkpoint_every": "5"}
    whole = train(short_text, tmp_path / "whole", **settings)
    assert last(whole, "average")
    steps_per_epoch = whole.history()[-1]["step"] // 10
    with pytest.raises(KeyboardInterrupt):
        train(short_text, tmp_path / "part", extensions=[Recorder(8 * steps_per_epoch + 7)], **settings)
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("epochs_before", [3.5, 7, 8])
def test_a_run_that_is_made_longer_equals_a_long_one(average, epochs_before, short_text, unlearnable, tmp_path):
    settings = {**AVERAGES[average], "epochs": 10, "validation": unlearnable}
    whole = train(short_text, tmp_path / "whole", **settings)
    steps = whole.history()[-1]["step"]
    stop = int(epochs_before * steps / 10)

    class Stops(seqlm.Extension):
        def on_step(self, training):
            if training.step == stop:
                training.stop_reason = "enough"

    train(short_text, tmp_path / "part", extensions=[Stops()], **settings)
    resumed = seqlm.resume(tmp_path / "part", quiet=True)
    assert last(resumed, "average").keys() == last(whole, "average").keys()
    for name, array in load_checkpoint(resumed.directory.last)[0].items():
        np.testing.assert_array_equal(array, load_checkpoint(whole.directory.last)[0][name], err_msg=name)


def test_a_run_that_ended_within_its_first_epoch_is_used_with_its_average(short_text, tmp_path):
    recorder = Recorder(dies_at=6)
    settings = {"average": "ema", "checkpoint_every": "5", "extensions": [recorder]}
    with pytest.raises(KeyboardInterrupt):
        train(short_text, tmp_path / "run", **settings)
    assert_close(seqlm.LanguageRun(tmp_path / "run").weights, moving_average(recorder.weights[:5], 0.998))


def drop_one(arrays):
    del arrays[next(name for name in arrays if name.startswith("average/"))]


def drop_all(arrays):
    for name in [name for name in arrays if name.startswith("average/")]:
        del arrays[name]


def reshape_one(arrays):
    name = next(name for name in arrays if name.startswith("average/"))
    arrays[name] = arrays[name][:1]


def add_one(arrays):
    for name in [name for name in arrays if name.startswith("model/")]:
        arrays[name.replace("model/", "average/")] = arrays[name]


@pytest.mark.parametrize(
    ("average", "change", "message"),
    [
        ("ema", drop_one, "does not fit config.json: its averaged weights have other names, shapes or types"),
        ("ema", reshape_one, "does not fit config.json: its averaged weights have other names, shapes or types"),
        ("ema", drop_all, "averaged weights are not those of the run's model$"),
        ("none", add_one, "averaged weights are not those of the run's model$"),
    ],
)
def test_wrong_averages_in_a_checkpoint_are_refused(average, change, message, short_text, tmp_path):
    run = train(short_text, tmp_path / "run", average=average, max_steps=3)
    arrays, state = load_checkpoint(run.directory.last)
    change(arrays)
    run.directory.save(run.directory.last, arrays, state)
    with pytest.raises(seqlm.RunError, match=message):
        seqlm.resume(run.path, quiet=True, max_steps=6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"average": "triggered", "validation_fraction": 0}, "there is no validation; set a `validation_fraction`"),
        ({"average": "triggered", "epochs": 7}, "set `epochs` to at least 8"),
        ({"average": "triggered", "max_steps": 9}, "begins after 7 epochs at the earliest"),
        ({"average_decay": 0.9}, "average_decay: is of no use unless `average` is ema, and it is none"),
        ({"average": "ema", "average_decay": 1.0}, "average_decay: must be below 1"),
        ({"average": "mean"}, "average: must be one of none, ema, triggered"),
    ],
)
def test_an_average_that_cannot_be_is_refused(settings, message, short_text, tmp_path):
    with pytest.raises(seqlm.SettingError, match=message):
        train(short_text, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
