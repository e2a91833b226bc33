"""A failing or wrong step of a cell, and a picture that cannot be drawn, end no training and delete nothing."""

from __future__ import annotations

import logging
import time

import numpy as np
import pytest
from conftest import SMALL
from right_plugins import Unit, unit_step

import seqlm_core as seqlm
from seqlm_core.command_line.main import main
from seqlm_core.engine.mxnet import mx
from seqlm_core.generation.layer_network import LayerNetwork
from seqlm_core.generation.network import StepNetwork
from seqlm_core.generation.step_check import step_problem
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network, weights_of
from seqlm_core.model.initialization import initialize, unique_parameters
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.options import NoOptions
from seqlm_core.plugins.registry import THIS_PROGRAM


def no_bias_step(weights, inputs, states, options):
    return unit_step({**weights, "bias": weights["bias"] * 0}, inputs, states, options)


def raising_step(weights, inputs, states, options):
    raise RuntimeError("no such gate")


class FailsLater:
    """Steps rightly while it is compared, and raises after that."""

    calls = 0

    def __call__(self, weights, inputs, states, options):
        self.calls += 1
        if self.calls > 3:
            raise RuntimeError("too many calls")
        return unit_step(weights, inputs, states, options)


def unit(step):
    return seqlm.CellSpec("unit", "one unit", lambda size, hidden, options: Unit(size, hidden), step=step)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (no_bias_step, "the step of cell 'unit' of this program differs from the layer by "),
        (raising_step, "the step of cell 'unit' of this program raises RuntimeError: no such gate"),
    ],
)
def test_a_wrong_step_is_told_and_texts_are_made_by_the_layer(register_specs, step, said, short_text, tmp_path, caplog):
    register_specs(unit(step))
    settings = {**SMALL, "cell": "unit", "max_steps": 4, "sample_every": 2}
    run = seqlm.train(short_text, out=tmp_path / "run", **settings)
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith(said)
    assert "try seqlm check cell:unit" in warnings[0]
    text = run.sample(length=20, seed=1)
    caplog.clear()
    loaded = seqlm.LanguageRun(run.path)
    assert loaded.sample(length=20, seed=1) == text
    assert isinstance(loaded.network, LayerNetwork)
    assert said in caplog.text


def test_a_step_that_was_mended_is_used_again(register_specs, short_text, tmp_path, caplog):
    register_specs(unit(no_bias_step))
    run = seqlm.train(short_text, out=tmp_path / "run", quiet=True, **{**SMALL, "cell": "unit", "max_steps": 1})
    caplog.clear()
    register_specs(unit(unit_step))
    assert isinstance(seqlm.LanguageRun(run.path).network, StepNetwork)
    assert not caplog.records


def test_resuming_finds_a_step_that_became_wrong(register_specs, short_text, tmp_path, caplog):
    register_specs(unit(unit_step))
    settings = {**SMALL, "cell": "unit", "quiet": True, "schedule": "constant"}
    run = seqlm.train(short_text, out=tmp_path / "run", max_steps=2, **settings)
    assert not caplog.records
    register_specs(unit(no_bias_step))
    seqlm.resume(run.path, quiet=True, max_steps=4)
    assert "differs from the layer" in caplog.text
    assert isinstance(seqlm.LanguageRun(run.path).network, LayerNetwork)


def test_a_sample_that_fails_is_a_warning_and_the_training_goes_on(register_specs, short_text, tmp_path, caplog):
    register_specs(unit(FailsLater()))
    run = seqlm.train(short_text, out=tmp_path / "run", **{**SMALL, "cell": "unit", "max_steps": 4, "sample_every": 1})
    assert run.history()[-1]["step"] == 4
    assert caplog.text.count("RuntimeError: too many calls") == 3


def test_the_sample_at_the_end_may_fail(register_specs, short_text, tmp_path, capsys):
    register_specs(unit(FailsLater()))
    options = "--cell unit --hidden-size 16 --max-steps 2 --sequence-length 20 --batch-size 8 --quiet"
    with pytest.raises(SystemExit) as exit_:
        main(["train", str(short_text), "--out", str(tmp_path / "run"), *options.split()])
    told = capsys.readouterr()
    assert exit_.value.code == 0
    assert told.err.startswith("seqlm: warning: no text could be sampled: ")
    assert "too many calls" in told.err
    assert "sample it    seqlm sample" in told.out


def test_a_picture_that_cannot_be_written_is_a_warning(short_text, tmp_path, caplog):
    class PicturesPlace(seqlm.Extension):
        """Makes a directory where the picture goes."""

        def on_start(self, training):
            (tmp_path / "run" / "loss.png").mkdir()

    settings = {**SMALL, "cell": "rnn", "quiet": True, "max_steps": 2, "extensions": [PicturesPlace()]}
    run = seqlm.train(short_text, out=tmp_path / "run", **settings)
    assert run.history()[-1]["step"] == 2
    assert "loss.png cannot be drawn: " in caplog.text


def large_model(step, layers=2, hidden_size=16):
    component = Component(unit(step), NoOptions(), THIS_PROGRAM)
    model = build_language_network(LanguageArchitecture(40, hidden_size, layers, 0, False, False), component)
    initialize(model, 1, mx.cpu())
    return model, component


def test_comparing_step_and_layer_leaves_the_model_as_it_is():
    model, component = large_model(unit_step)
    before = weights_of(model)
    assert step_problem(model, component) is None
    for name, array in weights_of(model).items():
        np.testing.assert_array_equal(array, before[name])
    assert {parameter.grad_req for parameter in unique_parameters(model).values()} == {"write"}


def test_a_step_that_is_wrong_for_upper_layers_only_is_found():
    def step(weights, inputs, states, options):
        hidden, after = unit_step(weights, inputs, states, options)
        return (hidden + inputs if hidden.shape == inputs.shape else hidden), after

    assert "after 1 time steps" in step_problem(*large_model(step))


def test_comparing_step_and_layer_takes_no_time_to_speak_of():
    model, component = large_model(unit_step, hidden_size=512)
    step_problem(model, component)
    started = time.process_time()
    step_problem(model, component)
    assert time.process_time() - started < 1.0
