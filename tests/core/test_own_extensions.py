"""What users add to a training from Python: extensions, and schedules that are functions."""

from __future__ import annotations

import json
import logging
import math

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.command_line.main import main
from seqlm_core.storage.checkpoint import load_checkpoint

FEW = {**SMALL, "warmup": 0, "schedule": "constant", "checkpoint_every": "3", "log_every": 2}


class Diary(seqlm.Extension):
    """Notes every call."""

    name = "diary"

    def __init__(self):
        self.calls = []

    def note(self, event, training):
        self.calls.append((event, training.step))

    def on_start(self, training):
        self.note("start", training)

    def on_gradients(self, training, batch):
        self.note("gradients", training)

    def on_step(self, training):
        self.note("step", training)

    def on_step_end(self, training):
        self.note("step end", training)

    def on_report(self, training, record):
        assert record["kind"] == "report"
        self.note("report", training)

    def on_closing(self, training):
        self.note("closing", training)

    def on_epoch(self, training, record):
        record["notes"] = len(self.calls)
        self.note("epoch", training)

    def on_finish(self, training):
        self.note("finish", training)

    def on_error(self, training, error):
        self.note(type(error).__name__, training)


class Steps(seqlm.Extension):
    """Counts the steps, and shrinks the weights in a way that depends on the count."""

    name = "steps"

    def __init__(self):
        self.count = 0

    def on_step(self, training):
        self.count += 1
        for parameter in training.parameters.values():
            parameter.data()[:] *= 1 - 0.01 * (self.count % 5)

    def state(self):
        return {"count": self.count} if self.count else {}

    def restore(self, state):
        self.count = state["count"]


def arrays_of(run):
    return load_checkpoint(run.path / "last.safetensors")[0]


def assert_equal_runs(one, other):
    first, second = arrays_of(one), arrays_of(other)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    without_time = [[{k: v for k, v in r.items() if k != "seconds"} for r in run.history()] for run in (one, other)]
    assert without_time[0] == without_time[1]


def train(text, out, **more):
    return seqlm.train(text, out=out, quiet=True, **{**FEW, **more})


def test_the_hooks_are_called_in_the_documented_order(short_text, tmp_path):
    diary = Diary()
    run = train(short_text, tmp_path / "run", epochs=2, max_steps=50, extensions=[diary])
    steps_per_epoch = next(r["step"] for r in run.history() if r["kind"] == "epoch")
    calls = [call for call in diary.calls if call[0] != "report"]
    expected = [("start", 0)]
    for step in range(1, 51):
        expected += [("gradients", step - 1), ("step", step)]
        expected += [("closing", step)] if step == 50 and step % steps_per_epoch else []
        expected += [("epoch", step)] if step in (steps_per_epoch, 50) else []
        expected += [("step end", step)]
    assert calls == [*expected, ("finish", 50)]
    assert sum(event == "report" for event, _ in diary.calls) == 25


def test_what_an_extension_adds_to_the_record_of_an_epoch_is_in_the_history(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", epochs=1, extensions=[Diary()])
    (record,) = [record for record in run.history() if record["kind"] == "epoch"]
    assert record["notes"] > 0
    assert "validation_nats_per_token" in record


def test_a_sequence_model_takes_extensions_and_a_function_too(tmp_path):
    diary = Diary()
    examples = [(["a", "b"], ["A", "B"]), (["b"], ["B"])] * 10
    model = seqlm.SequenceModel(schedule=halves, hidden_size=4, epochs=1, warmup=0, learning_rate=0.1)
    run = model.train(examples, out=tmp_path / "run", quiet=True, extensions=[diary])
    assert ("finish", run.history()[-1]["step"]) in diary.calls
    assert run.history()[-1]["learning_rate"] == 0.1 * 0.5 ** (run.history()[-1]["step"] - 1)
    assert run.settings.schedule == "function halves"


# An epoch has 33 steps.
@pytest.mark.parametrize("stop", [5, 33, 40])
def test_a_resumed_run_with_an_extension_equals_an_uninterrupted_one(short_text, tmp_path, stop):
    whole = train(short_text, tmp_path / "whole", epochs=3, max_steps=45, extensions=[Steps()])
    part = train(short_text, tmp_path / "part", epochs=3, max_steps=stop, extensions=[Steps()])
    again = Steps()
    resumed = seqlm.resume(part.path, quiet=True, max_steps=45, extensions=[again])
    assert again.count == 45
    first, second = arrays_of(whole), arrays_of(resumed)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_a_run_that_died_between_two_checkpoints_goes_on_exactly_with_its_extension(short_text, tmp_path):
    class Dies(Steps):
        def on_step_end(self, training):
            if training.step == 35:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(short_text, tmp_path / "part", epochs=2, max_steps=41, extensions=[Dies()])
    resumed = seqlm.resume(tmp_path / "part", quiet=True, extensions=[Steps()])
    assert_equal_runs(train(short_text, tmp_path / "whole", epochs=2, max_steps=41, extensions=[Steps()]), resumed)


def test_weights_that_an_extension_changes_after_a_step_are_those_that_are_measured_and_saved(short_text, tmp_path):
    class Zero(seqlm.Extension):
        def on_step(self, training):
            for parameter in training.parameters.values():
                parameter.data()[:] = 0

    run = train(short_text, tmp_path / "run", epochs=1, extensions=[Zero()])
    assert not any(array.any() for array in run.weights.values())
    uniform = math.log(len(run.vocabulary))
    assert run.history()[-1]["validation_nats_per_token"] == pytest.approx(uniform, rel=1e-6)


def test_an_extension_can_end_the_training_which_is_evaluated_and_can_go_on(short_text, tmp_path):
    class Enough(seqlm.Extension):
        def on_step(self, training):
            if training.step == 4:
                training.stop_reason = "enough"

    run = train(short_text, tmp_path / "run", epochs=1, extensions=[Enough()])
    assert [r["step"] for r in run.history() if r["kind"] == "epoch"] == [4]
    assert seqlm.resume(run.path, quiet=True).history()[-1]["step"] > 4


def test_a_state_that_would_be_lost_is_refused_by_name(short_text, tmp_path, capsys):
    run = train(short_text, tmp_path / "run", epochs=2, max_steps=3, extensions=[Steps()])
    message = "the run has the state of extensions that are not given, and it would be lost: 'steps'; go on from Python"
    with pytest.raises(seqlm.RunError, match=message):
        seqlm.resume(run.path, quiet=True, max_steps=4)
    with pytest.raises(SystemExit):
        main(["train", "--resume", str(run.path), "--max-steps", "4", "--quiet"])
    assert message in capsys.readouterr().err


def test_an_extension_without_a_state_that_is_not_given_again_is_warned_of(short_text, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("seqlm"), "propagate", True)
    run = train(short_text, tmp_path / "run", epochs=2, max_steps=3, extensions=[Diary()])
    assert run.config["extensions"] == ["Diary"]
    seqlm.resume(run.path, quiet=True, max_steps=4)
    assert "the run was begun with extensions that are not given now: Diary" in caplog.messages


def test_a_training_without_extensions_says_nothing_of_them(trained, caplog):
    assert trained().config["extensions"] == []


class Fails(seqlm.Extension):
    name = "fails"

    def __init__(self, event, value=None):
        def fail(*arguments):
            if value is not None:
                return value
            return 1 / 0  # the line that is told

        vars(self)["_fail"] = fail
        self.event = event

    def on_start(self, training):
        self.maybe("on_start")

    def on_step(self, training):
        self.maybe("on_step")

    def on_epoch(self, training, record):
        self.maybe("on_epoch")

    def state(self):
        return self.maybe("state") or {}

    def maybe(self, event):
        return self._fail() if event == self.event else None


@pytest.mark.parametrize("event", ["on_start", "on_step", "on_epoch", "state"])
def test_what_an_extension_raises_is_told_with_its_class_file_and_line(short_text, tmp_path, event):
    with open(__file__) as file:
        line = next(number for number, text in enumerate(file, 1) if "# the line that is told" in text)
    with pytest.raises(seqlm.PluginError) as caught:
        train(short_text, tmp_path / "run", epochs=1, max_steps=2, extensions=[Fails(event)])
    assert str(caught.value) == (
        f"extension Fails, called by {event}, fails: ZeroDivisionError: division by zero "
        f"(test_own_extensions.py, line {line})"
    )


@pytest.mark.parametrize(
    ("extensions", "error", "message"),
    [
        ([Diary], seqlm.UsageError, r"`extensions` must hold Diary\(\), not <class"),
        (["diary"], seqlm.UsageError, "`extensions` must hold instances of seqlm_core.Extension, not 'diary'"),
        (Diary(), seqlm.UsageError, "`extensions` must be a list of extensions, not <"),
        ([Diary()] * 2, seqlm.UsageError, "extension Diary is given twice"),
        ([Diary(), Diary()], seqlm.UsageError, "two extensions are called 'diary'"),
        (
            [Fails("state", np.ones(1))],
            seqlm.PluginError,
            "extension Fails: state must return a dictionary, not array",
        ),
        (
            [Fails("state", {"a": {1}})],
            seqlm.PluginError,
            "extension Fails: state must hold plain values, such as JSON",
        ),
    ],
    ids=["class", "text", "no list", "twice", "names", "no dictionary", "no JSON"],
)
def test_extensions_that_cannot_be_used_are_refused_before_the_training(
    short_text, tmp_path, extensions, error, message
):
    with pytest.raises(error, match=message):
        train(short_text, tmp_path / "run", epochs=1, max_steps=1, extensions=extensions)
    assert not (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.parametrize("name", ["", "history"])
def test_a_state_needs_a_name_that_no_other_extension_has(short_text, tmp_path, name):
    extension = Steps()
    extension.name, extension.count = name, 1
    with pytest.raises(seqlm.SeqlmError, match="has a state and no name" if not name else "two extensions are called"):
        train(short_text, tmp_path / "run", epochs=1, max_steps=1, extensions=[extension])


# Schedules


def halves(step, total_steps):
    return 0.5**step


def test_the_rate_is_the_highest_one_times_warm_up_times_what_the_function_returns(short_text, tmp_path):
    seen = []

    def triangle(step, total_steps):
        seen.append((step, total_steps))
        return np.float32(1 - step / total_steps)

    run = train(
        short_text,
        tmp_path / "run",
        epochs=1,
        max_steps=8,
        log_every=1,
        warmup=3,
        learning_rate=0.01,
        schedule=triangle,
    )
    rates = [record["learning_rate"] for record in run.history() if record["kind"] == "report"]
    assert rates == pytest.approx([0.01 * min(1, (step + 1) / 4) * (1 - step / 8) for step in range(8)])
    assert set(seen) == {(step, 8) for step in range(8)}
    assert json.loads((run.path / "config.json").read_text())["settings"]["schedule"] == "function triangle"


def test_a_run_with_a_function_goes_on_exactly_where_it_is_given_again(short_text, tmp_path):
    class Dies(seqlm.Extension):
        def on_step_end(self, training):
            if training.step == 4:
                raise KeyboardInterrupt

    settings = {"epochs": 1, "max_steps": 8, "schedule": halves}
    with pytest.raises(KeyboardInterrupt):
        train(short_text, tmp_path / "part", extensions=[Dies()], **settings)
    with pytest.raises(seqlm.SettingError, match=r"schedule: is the 'function halves', which a run cannot hold"):
        seqlm.resume(tmp_path / "part", quiet=True)
    with pytest.raises(seqlm.SettingError, match="was 'function halves' when the run began and cannot change"):
        seqlm.resume(tmp_path / "part", quiet=True, schedule=lambda step, total_steps: 1)
    with pytest.raises(seqlm.SettingError, match="cannot change on resuming a run whose function halves schedule"):
        seqlm.resume(tmp_path / "part", quiet=True, schedule=halves, max_steps=9)
    resumed = seqlm.resume(tmp_path / "part", quiet=True, schedule=halves)
    assert_equal_runs(train(short_text, tmp_path / "whole", **settings), resumed)


@pytest.mark.parametrize("value", [math.nan, -0.5, math.inf, "1", None, 1j])
def test_a_function_that_returns_no_rate_is_an_error_that_names_it(short_text, tmp_path, value):
    def broken(step, total_steps):
        return value if step == 1 else 1

    with pytest.raises(seqlm.PluginError, match=r"the schedule broken returns .* for step 1 of 2, and must"):
        train(short_text, tmp_path / "run", epochs=1, max_steps=2, schedule=broken)


def test_a_function_that_fails_is_told_with_file_and_line(short_text, tmp_path):
    def broken(step, total_steps):
        return 1 / step

    with pytest.raises(
        seqlm.PluginError,
        match=r"the schedule broken fails: ZeroDivisionError: division by zero \(test_own_extensions.py, line \d+\)",
    ):
        train(short_text, tmp_path / "run", epochs=1, max_steps=2, schedule=broken)
