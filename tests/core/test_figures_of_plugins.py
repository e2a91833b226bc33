"""Figures of cells that are not built in: nothing drops out while they are taken, and they repeat to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, mx
from seqlm_core.evaluation.language import LanguageEvaluator
from seqlm_core.generation.layer_network import LayerNetwork
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network
from seqlm_core.model.graph_windows import GraphWindows
from seqlm_core.model.initialization import initialize
from seqlm_core.model.recurrent_layer import RecurrentLayer
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.options import NoOptions
from seqlm_core.plugins.registry import THIS_PROGRAM
from seqlm_core.reading.tokenized_text import TokenizedText


class Dropping(RecurrentLayer):
    """A built-in layer that drops half of its outputs in training."""

    def __init__(self, input_size, hidden_size, formula="lstm"):
        super().__init__(formula, input_size, hidden_size)

    def hybrid_forward(self, F, inputs, states, **parameters):
        outputs, states = super().hybrid_forward(F, inputs, states, **parameters)
        return F.Dropout(outputs, p=0.5), states


class ModeRecording(RecurrentLayer):
    """Notes, whenever it is called, whether it is in training mode."""

    seen: list[bool] = []  # noqa: RUF012 - of all of them

    def __init__(self, input_size, hidden_size):
        super().__init__("gru", input_size, hidden_size)

    def __call__(self, *arguments):
        ModeRecording.seen.append(autograd.is_training())
        return super().__call__(*arguments)


def cell(build, bidirectional=False):
    return seqlm.CellSpec(
        "derived", "derived", lambda size, hidden, options: build(size, hidden), bidirectional=bidirectional
    )


@pytest.mark.parametrize("bidirectional", [False, True])
def test_dropout_of_a_layer_derived_from_ours_is_off_while_figures_are_taken(
    register_specs, bidirectional, short_text, tmp_path
):
    register_specs(cell(Dropping, bidirectional))
    settings = {**SMALL, "cell": "derived", "max_steps": 3, "quiet": True, "dropout": 0.0}
    run = seqlm.train(short_text, out=tmp_path / "run", **settings)
    first, second = (run.evaluate(short_text)[0] for _ in range(2))
    assert first == second


def test_tags_of_a_layer_derived_from_ours_repeat(register_specs, tmp_path):
    register_specs(cell(Dropping))
    examples = [(list("abcab"), list("xyzxy")), (list("ccab"), list("zzxy"))] * 4
    model = seqlm.SequenceModel(cell="derived", hidden_size=8, epochs=1, batch_size=2, log_every=0)
    run = model.train(examples, [], out=tmp_path / "run", quiet=True)
    figures = [run.evaluate(examples) for _ in range(2)]
    assert figures[0] == figures[1]


def test_no_layer_of_a_plugin_is_in_training_mode_but_in_training(short_text):
    component = Component(cell(ModeRecording), NoOptions(), THIS_PROGRAM)
    model = build_language_network(LanguageArchitecture(7, 8, 2, 0, False, False), component)
    initialize(model, 1, mx.cpu())
    ModeRecording.seen.clear()

    ids = np.random.default_rng(1).integers(1, 7, 40).astype(np.int32)
    LanguageEvaluator(GraphWindows(model), TokenizedText(ids, characters=39, unknown_tokens=0), 5, 4).evaluate()
    network = LayerNetwork(model)
    network.read(np.array([1]), network.begin(1))
    assert len(ModeRecording.seen) >= 4
    assert not any(ModeRecording.seen)


FIGURES = """
import json, sys
import numpy as np
from test_figures_of_plugins import Dropping, cell
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network
from seqlm_core.plugins.components import Component
from seqlm_core.model.graphs import LeftReading
from seqlm_core.model.initialization import initialize
from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.plugins.options import NoOptions
from seqlm_core.plugins.registry import THIS_PROGRAM

found = {}
for formula in ("rnn_tanh", "lstm"):
    spec = cell(lambda size, hidden: Dropping(size, hidden, formula))
    tokens = nd.array(np.random.default_rng(7).integers(0, 60, (20, 1)), dtype="int32")
    read = set()
    for number in range(25):
        elsewhere = [nd.zeros((n,)) for n in np.random.default_rng(number).integers(1, 5000, number % 9)]
        nd.waitall()
        component = Component(spec, NoOptions(), THIS_PROGRAM)
        model = build_language_network(LanguageArchitecture(60, 16, 2, 0, False, False), component)
        initialize(model, 1, mx.cpu())
        with model.repeatable():
            outputs, states = LeftReading(model, 20)(tokens, model.begin_state(1))
        read.add(outputs.asnumpy().tobytes())
    found[formula] = len(read)
print(json.dumps(found))
"""


def test_figures_repeat_wherever_in_memory_a_model_without_native_formulas_lies():
    environment = {**os.environ, "SEQLM_NATIVE": "0", "PYTHONPATH": str(Path(__file__).parent)}
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIGURES], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"rnn_tanh": 1, "lstm": 1}
