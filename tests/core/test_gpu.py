"""Trainings on a GPU, which is a fake: see ``fake_gpu``."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from fake_gpu import NotOnGPUError, fake_gpus
from sequence_runs import learnable

import seqlm_core as seqlm
from seqlm_core.engine import arrays, devices
from seqlm_core.engine.mxnet import gluon, mx, nd
from seqlm_core.native.training import MXNET, ON_GPU, available_backends, chosen_backend
from seqlm_core.training.exchange import Exchange
from seqlm_core.workers.parameter_server import ParameterServerWorkers

TINY = {
    "hidden_size": 6,
    "batch_size": 3,
    "max_steps": 6,
    "epochs": 9,
    "log_every": 2,
    "validate_every": 3,
    "warmup": 1,
}
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
    assert set(gpus.operators) == {"cpu(1)"}
    assert watch.contexts == {mx.cpu(1)}
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


# Going on elsewhere

GOING_ON = {
    **TEXT, "cell": "lstm", "dropout": 0.3, "average": "ema", "schedule": "constant", "embedding_updates": "read",
    "embedding_size": 5, "sample_every": 0,
}  # fmt: skip


@pytest.fixture
def begun(short_text, tmp_path):
    """Give the function that trains on a device up to a step."""

    def train(device, steps, name="run"):
        with fake_gpus():
            settings = {**GOING_ON, "device": device, "max_steps": steps}
            return seqlm.train(short_text, out=tmp_path / name, quiet=True, **settings)

    return train


@pytest.mark.parametrize(("first", "then"), [("cpu", "gpu"), ("gpu", "cpu")])
def test_a_run_goes_on_on_another_device_and_says_so(first, then, begun, caplog):
    whole = begun(first, 6, "whole")
    run = begun(first, 3)
    with fake_gpus() as gpus:
        run = seqlm.resume(run.path, device=then, max_steps=6, quiet=True)
    assert gpus.errors == []
    for name, weights in whole.weights.items():
        np.testing.assert_allclose(run.weights[name], weights, rtol=1e-4, atol=1e-6, err_msg=name)
    names = {"cpu": available_backends()[-1], "gpu": ON_GPU}
    assert f"begun with {names[first]} kernels and goes on with {names[then]}, so results" in caplog.text
    assert run.settings.device == then


def test_a_run_goes_on_on_the_gpu_as_if_nothing_had_been(begun, caplog, monkeypatch):
    whole = begun("gpu", 6, "whole")
    run = begun("gpu", 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # which a GPU does not mind
    with fake_gpus() as gpus, caplog.at_level(logging.INFO, "seqlm"):
        run = seqlm.resume(run.path, max_steps=6, quiet=True)
    assert gpus.errors == []
    assert "computing on cpu(1) with MXNet's operators\n" in caplog.text
    assert same_figures([whole, run])
    assert "goes on with" not in caplog.text


def test_a_run_that_was_trained_on_any_gpu_goes_on_where_there_is_none(begun, caplog):
    run = begun("auto", 3)
    assert run.config["kernels"] == ON_GPU
    run = seqlm.resume(run.path, max_steps=6, quiet=True)
    assert "begun with mxnet gpu kernels" in caplog.text
    assert run.history()[-1]["step"] == 6


# Several workers


class OneStore:
    """MXNet's store of a single process in the place of the parameter server: what is pulled is what was pushed."""

    def __init__(self):
        self._store = mx.kvstore.create("local")
        self.init, self.push, self.pull = self._store.init, self._store.push, self._store.pull


def test_workers_add_up_what_is_on_the_gpu_and_get_it_there(monkeypatch):
    class Watch:
        number = 1

    with fake_gpus() as gpus:
        store = OneStore()
        monkeypatch.setattr(mx.kvstore, "create", lambda kind: store)
        workers = ParameterServerWorkers(Watch(), 2)
        exchange = Exchange(workers, 4)
        gradient = nd.array([1.0, 2.0], ctx=mx.gpu())
        losses = nd.array([[3.0], [4.0]], ctx=mx.gpu())
        for step in (1, 2):
            told = exchange.add_up({"weight": gradient}, losses)
            assert told.context == mx.gpu()
            assert exchange.loss(told.asnumpy(), step) == 7.0
        assert gradient.asnumpy().tolist() == [1.0, 2.0]
        np.testing.assert_array_equal(workers.united("numbers", np.array([5, 2**40])), [5, 2**40])
    assert gpus.errors == []


# Which device


def test_each_worker_has_a_gpu_of_its_own_as_far_as_there_are_enough():
    with fake_gpus(2):
        chosen = [devices.compute_device("auto", worker) for worker in range(3)]
        assert chosen == [mx.gpu(0), mx.gpu(1), mx.gpu(0)]
        assert devices.compute_device("gpu:1", worker=2) == mx.gpu(1)
        with pytest.raises(seqlm.SeqlmError, match=r"`device` gpu:2 is not there \(2 found\); use `device` cpu"):
            devices.compute_device("gpu:2")


@pytest.mark.parametrize(
    ("wheel", "has_cuda", "told"),
    [
        (
            None,
            False,
            "this MXNet is for CPUs alone; for GPUs: pip uninstall -y mxnet && pip install mxnet-cu117==1.9.1",
        ),
        (
            "mxnet-cu112",
            False,
            "installed over mxnet-cu112; for GPUs: pip uninstall -y mxnet mxnet-cu112 && pip install",
        ),
        ("mxnet-cu112", True, "mxnet-cu112 finds none; see whether nvidia-smi shows one, with a driver from 450.80 on"),
    ],
)
def test_a_gpu_that_is_not_there_is_told_with_what_is_installed(wheel, has_cuda, told, monkeypatch):
    monkeypatch.setattr(devices.cuda, "installed_wheel", lambda: wheel)
    monkeypatch.setattr(mx.runtime.Features, "is_enabled", lambda self, name: has_cuda)
    with fake_gpus(0), pytest.raises(seqlm.SeqlmError) as caught:
        devices.compute_device("gpu")
    assert str(caught.value).startswith("`device` gpu is not there (")
    assert told in str(caught.value)


FAILURES = {
    "Check failed: e == cudaSuccess: CUDA: no kernel image is available for execution on the device": (
        "compute capability 5.0 to 8.9"
    ),
    "src/storage/./pooled_storage_manager.h:192: cudaMalloc retry failed: out of memory": "memory of the GPU",
    "Check failed: e == CUDNN_STATUS_SUCCESS (2 vs. 0) : cuDNN: CUDNN_STATUS_ALLOC_FAILED": "smaller `batch_size`",
    "Check failed: e == cudaSuccess: CUDA: CUDA driver version is insufficient for CUDA runtime version": "driver",
    "CUDA: the provided PTX was compiled with an unsupported toolchain": "MXNET_USE_FUSION=0",
    "CUDA: all CUDA-capable devices are busy or unavailable": "does not share it",
}


@pytest.mark.parametrize("message", FAILURES)
def test_a_gpu_that_fails_is_told_with_the_way_out_and_auto_takes_the_processor(message, monkeypatch, caplog):
    def fail(*arguments, **named):
        raise mx.MXNetError(f'Traceback (most recent call last):\n  File "engine.cc", line 1\nMXNetError: {message}')

    with fake_gpus():
        monkeypatch.setattr(devices.nd, "zeros", fail)
        with pytest.raises(seqlm.SeqlmError, match=FAILURES[message]) as caught:
            devices.compute_device("gpu")
        assert "\n" not in str(caught.value)
        assert devices.compute_device("auto") == mx.cpu()
    assert f"cpu(1) is there, and cannot be used, so the CPU computes: {caught.value}" in caplog.text


# The fake itself


def test_the_fake_refuses_what_a_gpu_cannot_do(training_library):
    with fake_gpus() as gpus:
        array = nd.ones((2, 2), ctx=mx.gpu())
        bias = nd.ones(2, ctx=mx.gpu())
        ways = [
            lambda: arrays._memory_of(array),
            lambda: array + nd.ones((2, 2)),
            lambda: nd.seqlm_projection(array, array, bias),
            lambda: nd.to_dlpack_for_read(array),
            lambda: arrays.CallInPlace("seqlm_update", [array], nd.empty(1))(rule="sgd"),
        ]
        for number, way in enumerate(ways):
            with pytest.raises(NotOnGPUError):
                way()
            assert len(gpus.errors) == number + 1
