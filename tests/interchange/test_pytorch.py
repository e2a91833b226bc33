"""Exports to PyTorch, and runs that are imported from there. The layout of the weights is checked by NumPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from random_model import RandomModel
from random_run import language_run
from safetensors.numpy import load_file
from sequence_models import make_run, network_of
from sequence_reference import INPUTS, OUTPUTS, WITH_VECTORS
from torch_reference import both_sides, left_to_right, linear, log_softmax, read_layer

import seqlm_core as seqlm
from seqlm_core.generation.network import StepNetwork
from seqlm_core.interchange.pytorch_language import language_module
from seqlm_core.interchange.pytorch_sequence import sequence_module

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]
CLUSTERS = {"vocabulary_size": 60, "cutoffs": (2, 12)}
MODELS = {
    "one-hot": {"units": 7},
    "embedded, unequal layers": {"units": (5, 9, 6), "embedding_size": 4},
    "tied": {"units": (6, 8), "tie_weights": True},
    "tied, projected": {"units": 8, "embedding_size": 5, "tie_weights": True},
    "adaptive": {"units": 8, "embedding_size": 5, **CLUSTERS},
    "adaptive, tied": {"units": 8, "tie_weights": True, **CLUSTERS},
    "adaptive, tied, projected": {"units": 8, "embedding_size": 5, "tie_weights": True, **CLUSTERS},
}
ALONE = [inputs for inputs in INPUTS if inputs not in WITH_VECTORS]
"""The inputs of runs that need no source of vectors."""
IDS = np.array([3, 1, 0, 9, 4, 4, 17])


def both_sides_of_run(run, ids):
    network = StepNetwork(run.architecture, run.cell.spec, run.cell.options, run.weights)
    found = []
    for place in range(1, len(ids)):
        states, right = network.begin(1), None
        for token in ids[:place]:
            left, states = network.read(np.array([token]), states)
        states = network.begin_right(1)
        for token in ids[:place:-1]:
            right, states = network.read_right(np.array([token]), states)
        found.append(network.log_probabilities(left, right)[0])
    return np.stack(found)


def left_to_right_of_run(run, ids):
    network = StepNetwork(run.architecture, run.cell.spec, run.cell.options, run.weights)
    states, found = network.begin(1), []
    for token in ids:
        hidden, states = network.read(np.array([token]), states)
        found.append(network.log_probabilities(hidden)[0])
    return np.stack(found)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("cell", [*CELLS, "relu"])
def test_a_state_dict_is_that_of_torch_layers_and_comes_back_bit_for_bit(cell, kind, tmp_path):
    options = {"cell": "rnn", "options": (("activation", "relu"),)} if cell == "relu" else {"cell": cell}
    run = language_run(tmp_path / "run", RandomModel(**options, **MODELS[kind]))
    seqlm.export_pytorch(run, tmp_path / "out")
    weights, a = load_file(tmp_path / "out" / "model.safetensors"), run.architecture
    layers = cell.replace("bi", "")
    found = left_to_right(layers, a, weights, IDS)
    np.testing.assert_allclose(found, left_to_right_of_run(run, IDS), rtol=1e-9, atol=1e-9)
    if a.bidirectional:
        found = both_sides(layers, a, weights, IDS)
        np.testing.assert_allclose(found, both_sides_of_run(run, IDS), rtol=1e-9, atol=1e-9)

    back = seqlm.import_pytorch(tmp_path / "out", tmp_path / "back")
    assert back.architecture == a
    assert back.vocabulary.to_json() == run.vocabulary.to_json()
    assert_same(back.weights, run.weights)


def test_modules_use_all_that_they_import_and_name_nothing_else(tmp_path):
    modules = [
        language_module(RandomModel(cell, **kind).architecture, "lstm", "A model.", "1")
        for cell in ("lstm", "bilstm")
        for kind in MODELS.values()
    ]
    architectures = [network_of("bilstm", i, o).architecture for i in INPUTS for o in OUTPUTS]
    architectures.append(network_of("gru", "tuned", "labels", output_layer="crf").architecture)
    modules += [sequence_module(a, "gru", "rnn_relu", "A model.", "1") for a in architectures]
    for number, text in enumerate(modules):
        (tmp_path / f"model{number}.py").write_text(text)
    words = ["-m", "ruff", "check", "--isolated", "--no-cache", "--select=F,I,RUF059", "--line-length=120"]
    done = subprocess.run([sys.executable, *words, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_dict_of_a_tagger_is_that_of_torch_layers_too(cell, tmp_path):
    run = make_run(tmp_path / "run", cell, "embedded", "labels", layers=2, hidden_size=(3, 4))
    seqlm.export_pytorch(run, tmp_path / "out")
    weights, tokens = load_file(tmp_path / "out" / "model.safetensors"), ["a", "cab", "b", "ba"]
    rows = weights["embedding.weight"][run.codecs.inputs.encode(tokens)]
    for layer in ("layers.0", "layers.1"):
        sides = [read_layer(cell.replace("bi", ""), weights, layer, rows)]
        if run.architecture.bidirectional:
            sides.append(read_layer(cell.replace("bi", ""), weights, layer, rows[::-1], "_reverse")[::-1])
        rows = np.concatenate(sides, axis=1)
    found = np.exp(log_softmax(linear(weights, "output", rows)))
    np.testing.assert_allclose(found, run.probabilities([tokens])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("inputs", "outputs"), [*((i, "labels") for i in ALONE), *(("values", o) for o in OUTPUTS)])
def test_sequence_models_come_back_bit_for_bit(inputs, outputs, tmp_path):
    run = make_run(tmp_path / "run", "bigru", inputs, outputs, layers=2, hidden_size=(3, 4))
    seqlm.export_pytorch(run, tmp_path / "out")
    back = seqlm.import_pytorch(tmp_path / "out", tmp_path / "back")
    assert back.architecture == run.architecture
    assert back.codecs.to_json() == run.codecs.to_json()
    assert_same(back.weights, run.weights)
