"""The schedule ``plateau``, which divides the learning rate after an epoch without a better loss."""

from __future__ import annotations

import json

import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.storage.checkpoint import load_checkpoint
from seqlm_core.training.extensions.plateau import Plateau

# An epoch has 8 steps. At this rate some epochs improve the loss and some do not.
STALLING = {
    **SMALL, "sequence_length": 20, "batch_size": 32, "hidden_size": 32, "dropout": 0.0, "activation_penalty": 0.0,
    "warmup": 3, "log_every": 3, "learning_rate": 0.3, "schedule": "plateau", "clip_norm": 0.0, "optimizer": "adam",
}  # fmt: skip


def train(text, out, **settings):
    return seqlm.train(text, out=out, quiet=True, **{**STALLING, **settings})


def without_times(run):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.history()]


def assert_same_runs(one, other):
    for name in ("best", "last"):
        arrays, others = (load_checkpoint(getattr(run.directory, name))[0] for run in (one, other))
        assert {key: array.tobytes() for key, array in arrays.items()} == {k: a.tobytes() for k, a in others.items()}
    assert without_times(one) == without_times(other)


def assert_divided_after_epochs_without_best(run, warmup=3):
    divisions, rates = 0, []
    for record in run.history():
        step = record["step"] - 1
        expected = run.settings.learning_rate * min(1, (step + 1) / (warmup + 1)) / 4**divisions
        assert record["learning_rate"] == pytest.approx(expected, rel=1e-12)
        if record["kind"] == "epoch":
            divisions += not record["best"]
            rates.append(record["learning_rate"])
    assert 0 < divisions < len(rates) - 1  # some epochs were better, and some were not
    assert rates[0] > rates[-1]


@pytest.mark.parametrize(("validation_fraction", "epochs"), [(0.1, 8), (0.0, 10)])
def test_the_rate_is_a_quarter_after_each_epoch_without_a_better_loss(
    short_text, tmp_path, validation_fraction, epochs
):
    run = train(short_text, tmp_path / "run", epochs=epochs, validation_fraction=validation_fraction)
    assert_divided_after_epochs_without_best(run)


def test_a_sequence_model_is_trained_with_it_too(tmp_path):
    examples = [([str(i % 7), str(i % 3)], [str(i * i % 5), "x"]) for i in range(60)]
    settings = {"schedule": "plateau", "epochs": 10, "warmup": 0, "learning_rate": 0.3, "hidden_size": 8}
    run = seqlm.SequenceModel(**settings).train(examples, out=tmp_path / "run", quiet=True)
    assert_divided_after_epochs_without_best(run, warmup=0)


@pytest.mark.parametrize("stop", [43, 40])  # within an epoch, and at the end of one that divides
def test_a_run_that_is_made_longer_equals_one_that_was_long_from_the_start(short_text, tmp_path, stop):
    whole = train(short_text, tmp_path / "whole", epochs=7, seed=4)
    assert sum(not record.get("best", True) for record in whole.history() if record["step"] <= stop)  # a state to keep
    train(short_text, tmp_path / "part", epochs=7, seed=4, max_steps=stop)
    resumed = seqlm.resume(tmp_path / "part", quiet=True, max_steps=7 * 8)
    assert_same_runs(whole, resumed)


def test_a_run_that_died_within_an_epoch_goes_on_exactly(short_text, tmp_path):
    class Dies(seqlm.Extension):
        def on_step_end(self, training):
            if training.step == 45:
                raise KeyboardInterrupt

    whole = train(short_text, tmp_path / "whole", epochs=7, checkpoint_every="6")
    with pytest.raises(KeyboardInterrupt):
        train(short_text, tmp_path / "part", epochs=7, checkpoint_every="6", extensions=[Dies()])
    assert_same_runs(whole, seqlm.resume(tmp_path / "part", quiet=True))


def test_patience_ends_it(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", epochs=100, patience=3)
    bests = [record["best"] for record in run.history() if record["kind"] == "epoch"]
    assert bests[-4:] == [True, False, False, False]
    assert len(bests) < 100


def test_a_checkpoint_without_its_state_is_refused_in_one_line(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", max_steps=3)
    arrays, state = load_checkpoint(run.directory.last)
    del state["training"]["extensions"]["plateau"]
    state = json.loads(json.dumps(state))
    run.directory.save(run.directory.last, arrays, state)
    with pytest.raises(seqlm.RunError, match=r"last\.safetensors is damaged.* has no 'plateau'$"):
        seqlm.resume(run.path, quiet=True, max_steps=6)


def test_the_factor_stays_a_number_however_often_it_is_divided():
    plateau = Plateau()
    plateau.restore({"divisions": 2**63 - 1})
    assert plateau.factor(0, 1) == 0.0
