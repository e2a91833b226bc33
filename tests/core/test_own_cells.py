"""Cells that are not built in: given as one step only, registered by the running program."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network
from seqlm_core.model.initialization import initialize
from seqlm_core.plugins.components import Component


class LeakyCell(gluon.rnn.HybridRecurrentCell):
    """``h' = (h + tanh(W x + U h)) / 2 + n / 1000``, where the second state n counts the steps."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self._hidden_size = hidden_size
        with self.name_scope():
            self.i2h_weight = self.params.get("i2h_weight", shape=(hidden_size, input_size))
            self.h2h_weight = self.params.get("h2h_weight", shape=(hidden_size, hidden_size))

    def state_info(self, batch_size=0):
        return [{"shape": (batch_size, size), "__layout__": "NC"} for size in (self._hidden_size, 1)]

    def _alias(self):
        return "leaky"

    def hybrid_forward(self, F, inputs, states, i2h_weight, h2h_weight):
        size = self._hidden_size
        total = F.FullyConnected(inputs, i2h_weight, num_hidden=size, no_bias=True)
        total = total + F.FullyConnected(states[0], h2h_weight, num_hidden=size, no_bias=True)
        hidden = F.broadcast_add((states[0] + F.tanh(total)) / 2, 0.001 * states[1])
        return hidden, [hidden, states[1] + 1]


def plugin(name, bidirectional=False, build=None):
    class Plugin:
        @seqlm.hookimpl
        def seqlm_cells(self):
            return seqlm.CellSpec(
                name,
                "leaky units",
                build or (lambda input_size, hidden_size, options: LeakyCell(input_size, hidden_size)),
                bidirectional=bidirectional,
            )

    return Plugin()


@pytest.fixture
def register():
    """Give the function that registers a plugin, and forget it afterwards."""
    seqlm.installed_plugins.cache_clear()
    yield seqlm.installed_plugins().register
    seqlm.installed_plugins.cache_clear()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_one_step_cell_trains_samples_evaluates_and_resumes(register, bidirectional, layers, short_text, tmp_path):
    register(plugin("leaky", bidirectional))
    settings = {**SMALL, "cell": "leaky", "layers": layers, "epochs": 2, "quiet": True, "schedule": "constant"}
    run = seqlm.train(short_text, out=tmp_path / "run", **settings)
    first, last = (r["training_nats_per_token"] for r in run.history() if r["kind"] == "epoch")
    assert last < first
    assert len(run.sample("The ", length=20, seed=1)) == 24
    (evaluation,) = run.evaluate(short_text)
    assert (evaluation.both_sides_nats_per_token is not None) == bidirectional
    part = seqlm.train(short_text, out=tmp_path / "part", **{**settings, "epochs": 1})
    resumed = seqlm.resume(part.path, quiet=True, epochs=2)
    for name, array in run.weights.items():
        np.testing.assert_array_equal(array, resumed.weights[name])


def test_samples_during_training_come_from_the_layers(register, short_text, tmp_path, capsys):
    register(plugin("leaky"))
    settings = {**SMALL, "cell": "leaky", "max_steps": 4, "sample_every": 2}
    seqlm.train(short_text, out=tmp_path / "run", **settings)
    assert "--- sample at step 2 ---" in capsys.readouterr().err


def test_a_run_of_a_cell_that_is_gone_is_told_by_name(register, short_text, tmp_path):
    register(plugin("leaky"))
    seqlm.train(short_text, out=tmp_path / "run", quiet=True, **{**SMALL, "cell": "leaky", "max_steps": 1})
    seqlm.installed_plugins.cache_clear()
    with pytest.raises(seqlm.RunError, match="cell 'leaky' of this program, which is not installed here"):
        seqlm.LanguageRun(tmp_path / "run")


class NoisyCell(LeakyCell):
    """Draws from MXNet's random numbers."""

    def hybrid_forward(self, F, inputs, states, **weights):
        return super().hybrid_forward(F, F.Dropout(inputs, p=0.3), states, **weights)


def test_a_cell_that_draws_random_numbers_resumes_exactly(register, short_text, tmp_path):
    register(plugin("noisy", build=lambda input_size, hidden_size, options: NoisyCell(input_size, hidden_size)))
    settings = {**SMALL, "cell": "noisy", "quiet": True, "schedule": "constant"}
    whole = seqlm.train(short_text, out=tmp_path / "whole", max_steps=20, **settings)
    part = seqlm.train(short_text, out=tmp_path / "part", max_steps=7, **settings)
    resumed = seqlm.resume(part.path, quiet=True, max_steps=20)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, resumed.weights[name])


class BiasedLayer(gluon.HybridBlock):
    """``h = W x + b``, with a bias of some name and shape, and no initializer anywhere."""

    def __init__(self, input_size, hidden_size, name, shape):
        super().__init__()
        self._hidden_size = hidden_size
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(hidden_size, input_size))
            self.offset = self.params.get(name, shape=shape)

    def begin_state(self, batch_size, ctx=None, dtype="float32"):
        return []

    def hybrid_forward(self, F, inputs, states, weight, offset):
        outputs = F.FullyConnected(inputs, weight, num_hidden=self._hidden_size, no_bias=True, flatten=False)
        return F.broadcast_add(outputs, offset.reshape((1, 1, -1))), states


@pytest.mark.parametrize(
    ("name", "shape"), [("bias", (16,)), ("gate_bias", (16,)), ("offset", (16,)), ("bias", (1, 16))]
)
def test_a_bias_without_an_initializer_begins_with_zeros_and_learns(register, name, shape, short_text, tmp_path):
    begun = []

    def build(input_size, hidden_size, options):
        begun.append(BiasedLayer(input_size, hidden_size, name, shape))
        return begun[-1]

    register(plugin("biased", build=build))
    component = Component.choose(seqlm.installed_plugins().cells, "biased", {})
    model = build_language_network(LanguageArchitecture(7, 16, 1, 0, False, False), component)
    initialize(model, 1, mx.cpu())
    assert not begun[0].offset.data().asnumpy().any()
    assert begun[0].weight.data().asnumpy().all()
    run = seqlm.train(short_text, out=tmp_path / "run", quiet=True, **{**SMALL, "cell": "biased", "max_steps": 2})
    assert run.weights["forward_stack.0.offset"].any()


class NarrowCell(LeakyCell):
    """Returns half of its hidden units."""

    def hybrid_forward(self, F, inputs, states, **weights):
        hidden, after = super().hybrid_forward(F, inputs, states, **weights)
        return F.slice_axis(hidden, axis=1, begin=0, end=8), after


def failing_build(input_size, hidden_size, options):
    raise KeyError("no such unit")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (failing_build, "cell:bad of this program cannot be built: KeyError: 'no such unit' ("),
        (lambda i, h, _: NarrowCell(i, h), "returns outputs of shape (2, 2, 8) instead of (2, 2, 16)"),
        (lambda i, h, _: gluon.rnn.ZoneoutCell(LeakyCell(i, h), 0.1), "cell:bad of this program does not work: "),
        (lambda *_: "no layer", "built a str, not a gluon HybridBlock"),
        (lambda i, h, _: gluon.rnn.LSTMCell(h), "i2h_weight does not know its shape: give it the input size"),
    ],
)
def test_a_cell_that_builds_no_usable_layer_is_told_and_leaves_nothing(register, build, message, short_text, tmp_path):
    register(plugin("bad", build=build))
    with pytest.raises(seqlm.PluginError, match=re.escape(message)):
        seqlm.train(short_text, out=tmp_path / "run", quiet=True, **{**SMALL, "cell": "bad"})
    assert not (tmp_path / "run").exists()
