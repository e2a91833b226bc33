"""Training kernels that round the factors of products to bfloat16: what they compute, and the setting `precision`."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_runs import learnable, train
from test_native_training import Case, cells, using

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, mx, nd
from seqlm_core.native import training as native

BACKENDS = native.available_backends("bfloat16")
needs_bfloat16 = pytest.mark.skipif(not BACKENDS, reason="the processor has no AVX512-BF16, or there are no kernels")
each_backend = pytest.mark.parametrize("backend", BACKENDS or [pytest.param("", marks=needs_bfloat16)])
odd_sizes = st.integers(1, 40) | st.sampled_from([64, 257, 300])


def rounded(array):
    """Round to bfloat16, to nearest and ties to even, by the bits of float32."""
    bits = np.asarray(array, dtype=np.float32).view(np.uint32).astype(np.uint64)
    kept = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return kept.astype(np.uint32).view(np.float32).astype(np.float64)


@needs_bfloat16
@each_backend
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), odd_sizes, odd_sizes, st.integers(1, 70) | st.just(300), st.integers(1, 2))
def test_a_projection_and_its_gradients_are_those_of_rounded_factors(backend, seed, inputs, outputs, rows, threads):
    random = np.random.default_rng(seed)
    arrays = [random.normal(size=shape) for shape in ((rows, inputs), (outputs, inputs), (outputs,), (rows, outputs))]
    read, weight, bias, gradient = (array.astype(np.float32) for array in arrays)
    given_arrays = [nd.array(array) for array in (read, weight, bias)]
    for array in given_arrays:
        array.attach_grad()
    with using(backend, threads):
        with autograd.record():
            products = native.projection(nd, *given_arrays)
        products.backward(nd.array(gradient))
        found = {"products": products, "read": given_arrays[0].grad, "weight": given_arrays[1].grad}
        found["bias"] = given_arrays[2].grad
        found = {name: array.asnumpy() for name, array in found.items()}
    read, weight, gradient = map(rounded, (read, weight, gradient))
    expected = {
        "products": read @ weight.T + bias,
        "read": gradient @ weight,
        "weight": gradient.T @ read,
        "bias": arrays[3].astype(np.float32).astype(np.float64).sum(axis=0),
    }
    # The sums are rounded in proportion to their parts, which may cancel.
    read, weight, bias, gradient = map(np.abs, (read, weight, bias, gradient))
    parts = {
        "products": read @ weight.T + bias,
        "read": gradient @ weight,
        "weight": gradient.T @ read,
        "bias": gradient.sum(axis=0),
    }
    for name, array in found.items():
        assert (np.abs(array - expected[name]) <= 1e-6 * parts[name]).all(), name


@each_backend
@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 2**32 - 1), cells, odd_sizes, st.integers(1, 5), st.integers(1, 14) | st.just(70), st.integers(1, 2)
)
def test_a_layer_and_its_gradients_are_within_rounding(backend, seed, formula, units, time, batch, threads):
    case = Case(seed, formula, units, 5, time, batch)
    with using(backend, threads):
        found = case.by_layer()
    if formula == "rnn_relu":  # its gradients jump where rounding changes a sign
        found = {name: array for name, array in found.items() if name.startswith("output")}
    expected = case.expected()
    # They are made of sums of both signs, and rounding is in proportion to what is added, not to the sum.
    of_products = 0.1 * np.sqrt(time * batch)
    for name, array in found.items():
        largest = max(float(np.abs(expected[name]).max()), of_products if name.startswith("gradient") else 0.1)
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=0.05 * largest, err_msg=name)


@each_backend
def test_numbers_that_are_not_finite_stay_so(backend):
    read = nd.array([[np.inf, 1.0], [np.nan, 1.0], [1.0, 1.0]])
    with using(backend):
        products = native.projection(nd, read, nd.ones((1, 2)), nd.zeros(1)).asnumpy()[:, 0]
    np.testing.assert_array_equal(products, [np.inf, np.nan, 2])


# Linux grants the registers of AMX only to processes whose stacks for signals have room for them.
TOO_SMALL_A_STACK = """
import ctypes

class Stack(ctypes.Structure):
    _fields_ = [("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

memory = ctypes.create_string_buffer(4096)
assert ctypes.CDLL(None).sigaltstack(ctypes.byref(Stack(ctypes.addressof(memory), 0, 4096)), None) == 0
from seqlm_core.native import training
print(training.available_backends("bfloat16"))
"""


@pytest.mark.skipif("native amx_bf16" not in BACKENDS, reason="the processor has no AMX")
def test_without_the_registers_of_amx_other_kernels_train(tmp_path):
    command = [sys.executable, "-c", TOO_SMALL_A_STACK]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['native avx512_bf16']", done.stderr


SETTINGS = {"hidden_size": 48, "epochs": 1, "max_steps": 30, "quiet": True, "log_every": 10, "dropout": 0.2}


@needs_bfloat16
def test_a_training_says_records_and_resumes_its_precision(short_text, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    options = {**SETTINGS, "precision": "bfloat16", "schedule": "constant"}
    whole = seqlm.train(short_text, out=tmp_path / "whole", **options)
    assert whole.config["kernels"] == BACKENDS[-1]
    assert f"{BACKENDS[-1]} kernels" in caplog.text
    part = seqlm.train(short_text, out=tmp_path / "part", **{**options, "max_steps": 13})
    assert native.backend_in_use(mx.cpu()) == native.available_backends()[-1]
    resumed = seqlm.resume(part.path, max_steps=30, quiet=True)
    for name, array in resumed.weights.items():
        np.testing.assert_array_equal(array, whole.weights[name])
    exact = seqlm.train(short_text, out=tmp_path / "exact", **SETTINGS)
    losses = [run.history()[-1]["validation_nats_per_token"] for run in (whole, exact)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


@needs_bfloat16
def test_figures_are_of_float32(short_text, tmp_path):
    run = seqlm.train(short_text, out=tmp_path / "run", **{**SETTINGS, "precision": "bfloat16"})
    text = tmp_path / "end.txt"
    whole = short_text.read_text()
    text.write_text(whole[-len(whole) // 10 :])
    again = seqlm.train(short_text, out=tmp_path / "again", **{**SETTINGS, "precision": "bfloat16", "validation": text})
    figures = again.evaluate(text)[0]
    assert again.history()[-1]["validation_nats_per_token"] == pytest.approx(figures.nats_per_token, rel=1e-6)
    assert run.history()[-1]["training_nats_per_token"] is not None


@needs_bfloat16
@pytest.mark.parametrize("outputs", ["labels", "values"])
def test_sequence_models_are_trained_with_it_too(outputs, tmp_path):
    examples = learnable(outputs=outputs, count=40)
    runs = [
        train(examples, tmp_path / precision, outputs=outputs, cell="bigru", hidden_size=20, precision=precision)
        for precision in ("float32", "bfloat16")
    ]
    assert runs[1].config["kernels"] == BACKENDS[-1]
    first, other = (run.history()[-1] for run in runs)
    (loss,) = (name for name in first if name.startswith("training_"))
    assert other[loss] != first[loss]
    assert other[loss] == pytest.approx(first[loss], rel=0.05)


@needs_bfloat16
def test_a_run_goes_on_where_the_processor_cannot(short_text, tmp_path, monkeypatch, caplog):
    options = {**SETTINGS, "precision": "bfloat16", "schedule": "constant"}
    part = seqlm.train(short_text, out=tmp_path / "part", **{**options, "max_steps": 13})
    usable = native.available_backends
    monkeypatch.setattr(
        native, "available_backends", lambda precision="float32": [] if precision == "bfloat16" else usable()
    )
    seqlm.resume(part.path, max_steps=30, quiet=True)
    assert f"begun with {BACKENDS[-1]} kernels and goes on with {usable()[-1]}" in caplog.text


@pytest.mark.parametrize(
    ("usable", "device", "problem"),
    [
        (["mxnet"], mx.cpu(), "not built or are switched off"),
        (["mxnet", "native avx512"], mx.cpu(), "AVX512-BF16, which this one does not have"),
        (["mxnet", "native avx512"], mx.gpu(0), "this training computes on gpu"),
    ],
)
def test_a_precision_that_nothing_has_is_refused(usable, device, problem, monkeypatch):
    monkeypatch.setattr(
        native, "available_backends", lambda precision="float32": [] if precision == "bfloat16" else usable
    )
    with pytest.raises(seqlm.SettingError, match=problem), native.training_precision("bfloat16", device):
        pass
    with native.training_precision("float32", device):
        pass
