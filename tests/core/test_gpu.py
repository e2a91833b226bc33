"""Trainings on a GPU, which is a fake: see ``fake_gpu``."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from fake_gpu import WrongOnGPU, fake_gpus
from sequence_runs import learnable

import seqlm_core as seqlm
from seqlm_core.engine import arrays, devices
from seqlm_core.engine.mxnet import gluon, mx, nd
from seqlm_core.native.training import MXNET, ON_GPU, available_backends, chosen_backend
from seqlm_core.workers.parameter_server import ParameterServerWorkers

TINY = {"hidden_size": 6, "batch_size": 3, "max_steps": 6, "epochs": 9, "log_every": 2, "validate_every": 3, "warmup": 1}
TEXT = {**TINY, "sequence_length": 6, "sample_every": 3}
EACH_DROPOUT = {
    "embedding_dropout": 0.1, "input_dropout": 0.1, "layer_dropout": 0.2, "output_dropout": 0.3,
    "recurrent_dropout": 0.2,
}  # fmt: skip

LANGUAGE_MODELS = {
    "characters, averaged": {"cell": "lstm", "average": "ema", "dropout": 0.3, "dropout_masks": "per-element"},
    "both sides, read rows": {
        "cell": "bigru", "embedding_size": 5, "embedding_updates": "read", "layers": 2, "activation_penalty": 0.1,
        "temporal_activation_penalty": 0.1, **EACH_DROPOUT,
    },
    "tied words, adaptive softmax": {
        "tokenizer": "word", "cell": "rnn", "output_layer": "adaptive", "tie_weights": True, "embedding_size": 4,
        "optimizer": "sgd", "optimizer_options": {"nesterov": True}, "weight_decay": 0.01, "min_count": 1,
    },
    "documents": {"cell": "bilstm", "documents": "line", "embedding_size": 0, "optimizer": "rmsprop"},
    "a cell of one step, of a plugin": {"cell": "foreign", "documents": "line", "dropout": 0.2},
}  # fmt: skip
SEQUENCE_MODELS = {
    "labels in a chain": ("tokens", "labels", {"output_layer": "crf", "char_cell": "gru", "shapes": True}),
    "one label": ("tokens", "label", {"cell": "bilstm", "dropout": 0.3, "recurrent_dropout": 0.2}),
    "values": ("values", "values", {"cell": "bigru", "layers": 2, "average": "ema", "detect_anomaly": True}),
}


@pytest.fixture
def foreign_cell(register_specs):
    def build(input_size, hidden_size, options):
        return gluon.rnn.GRUCell(hidden_size, input_size=input_size)

    register_specs(seqlm.CellSpec("foreign", "one of gluon's", build))


class OnTheGPU(seqlm.Extension):
    """Sees to it that after the first step nothing is computed but on the GPU."""

    def __init__(self, gpus):
        self.gpus = gpus
        self.contexts = set()

    def on_gradients(self, training, batch):
        if training.step == 0:
            self.gpus.operators.clear()
        held = [parameter.data() for parameter in training.parameters.values()]
        self.contexts |= {array.context for array in [*held, *training.gradients.values(), batch.weights]}


def same_figures(runs):
    """Return whether two runs have the same weights and the same history, to the bit."""
    records = [[{k: v for k, v in r.items() if k not in ("seconds", "check")} for r in run.history()] for run in runs]
    first, other = (run.weights for run in runs)
    return records[0] == records[1] and all(np.array_equal(other[name], first[name]) for name in first)


def assert_trained_on_the_gpu_alone(train):
    with chosen_backend(MXNET):
        expected = train("cpu")
    with fake_gpus() as gpus:
        watch = OnTheGPU(gpus)
        run = train("gpu", watch)
    assert gpus.errors == []
    assert set(gpus.operators) == {"cpu(1)"} and watch.contexts == {mx.cpu(1)}
    assert (run.config["kernels"], run.config["settings"]["device"]) == (ON_GPU, "gpu")
    assert len(run.history()) > 3
    assert same_figures([expected, run])


@pytest.mark.parametrize("settings", LANGUAGE_MODELS.values(), ids=LANGUAGE_MODELS)
def test_a_language_model_is_trained_on_the_gpu_alone_and_to_the_same_weights(
    settings, short_text, tmp_path, foreign_cell
):
    def train(device, *extensions):
        out = tmp_path / device
        return seqlm.train(
            short_text, out=out, device=device, quiet=True, extensions=extensions, **{**TEXT, **settings}
        )

    assert_trained_on_the_gpu_alone(train)


@pytest.mark.parametrize("case", SEQUENCE_MODELS.values(), ids=SEQUENCE_MODELS)
def test_a_sequence_model_is_trained_on_the_gpu_alone_and_to_the_same_weights(case, tmp_path):
    inputs, outputs, settings = case

    def train(device, *extensions):
        model = seqlm.SequenceModel(inputs, outputs, device=device, **{**TINY, **settings})
        examples = learnable(inputs, outputs)
        return model.train(examples, out=tmp_path / device, quiet=True, extensions=extensions)

    assert_trained_on_the_gpu_alone(train)
