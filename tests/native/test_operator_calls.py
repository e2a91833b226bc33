"""The native operators, called directly: with indices out of range, wrong sizes, and gradients of what never was."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from operator_calls import Operator

from seqlm_core.native import GATES
from seqlm_core.native import training as native
from seqlm_core.native.library import load

NATIVE = native.available_backends()[1:]

TIME, BATCH, UNITS, VOCABULARY, CLASSES = 5, 7, 20, 6, 9


@functools.cache
def library_of_its_own():
    """A copy of the library. MXNet copies every message of the one that it uses at every call, and never lets go."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(native.LIBRARY, folder))
        return load(copy, native.INTERFACE, native._FUNCTIONS, "nothing computes")


@contextlib.contextmanager
def computing_with(backend, threads):
    with native.chosen_backend(backend), pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_load", lambda path: library_of_its_own())
        patch.setattr(native, "LEAST_MULTIPLICATIONS", 1)
        patch.setenv("OMP_NUM_THREADS", str(threads))
        native._use(backend)
        yield


@pytest.fixture(autouse=True, params=[1, 3])
def threads(training_library, request):
    with computing_with(NATIVE[-1], request.param):
        yield request.param


class Call:
    """An operator with inputs that are right, and room for its outputs and gradients."""

    def __init__(self, name, inputs, outputs, attributes=None):
        self.inputs = inputs
        self.outputs = [np.zeros(shape, np.float32) for shape in outputs]
        random = np.random.default_rng(3)
        self.of_outputs = [random.normal(size=shape).astype(np.float32) for shape in outputs]
        self.gradients = [np.full_like(array, 77) for array in inputs.values()]
        library = library_of_its_own()
        self.operator = Operator(library, name, attributes or {})

    def forward(self):
        return self.operator.forward(list(self.inputs.values()), self.outputs)

    def backward(self):
        read = [*self.inputs.values(), *self.outputs]
        return self.operator.backward([*self.of_outputs, *read], self.gradients)

    def is_untouched(self):
        return all((gradient == 77).all() for gradient in self.gradients)


def layer(cell):
    random = np.random.default_rng(1)
    rows = GATES[cell] * UNITS
    inputs = {
        "table": random.normal(size=(VOCABULARY, rows)),
        "weight": random.normal(size=(rows, UNITS)) / 4,
        "bias": random.normal(size=rows),
        "hidden": random.normal(size=(BATCH, UNITS)),
        **({"memory": random.normal(size=(BATCH, UNITS))} if cell == "lstm" else {}),
    }
    inputs = {name: array.astype(np.float32) for name, array in inputs.items()}
    inputs["tokens"] = random.integers(0, VOCABULARY, (TIME, BATCH), dtype=np.int32)
    inputs["lengths"] = random.integers(1, TIME + 1, BATCH, dtype=np.int32)
    inputs["resets"] = random.integers(0, 2, (TIME, BATCH), dtype=np.int32)
    states = [(BATCH, UNITS)] * (2 if cell == "lstm" else 1)
    return Call(
        "seqlm_layer",
        inputs,
        [(TIME, BATCH, UNITS), *states],
        {"cell": cell, "tokens": "1", "lengths": "1", "resets": "1", "reverse": "1"},
    )


def projected(targets):
    random = np.random.default_rng(2)
    inputs = {
        "rows": random.normal(size=(TIME, BATCH, UNITS)).astype(np.float32),
        "weight": random.normal(size=(CLASSES, UNITS)).astype(np.float32),
        "bias": random.normal(size=CLASSES).astype(np.float32),
    }
    if not targets:
        return Call("seqlm_projection", inputs, [(TIME, BATCH, CLASSES)])
    inputs["targets"] = random.integers(0, CLASSES, (TIME, BATCH), dtype=np.int32)
    return Call("seqlm_softmax_loss", inputs, [(TIME, BATCH)])


def some_projected():
    call = projected(True)
    call.inputs["targets"][::2] = -1
    return Call("seqlm_some_softmax_loss", call.inputs, [(TIME, BATCH)])


def chain():
    random = np.random.default_rng(4)
    shapes = {"scores": (TIME, BATCH, CLASSES), "first": CLASSES, "transitions": (CLASSES, CLASSES), "last": CLASSES}
    inputs = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    inputs["targets"] = random.integers(-1, CLASSES, (TIME, BATCH), dtype=np.int32)
    inputs["lengths"] = random.integers(1, TIME + 1, BATCH, dtype=np.int32)
    return Call("seqlm_chain_loss", inputs, [(BATCH,)])


def penalized():
    random = np.random.default_rng(5)
    shapes = {"losses": (TIME, BATCH), "outputs": (TIME, BATCH, UNITS)}
    inputs = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return Call("seqlm_penalties", inputs, [(TIME, BATCH)], {"activation": "1.5", "temporal": "0.5"})


CALLS = {
    **{cell: lambda cell=cell: layer(cell) for cell in GATES},
    "projection": lambda: projected(False),
    "softmax": lambda: projected(True),
    "softmax of some": some_projected,
    "chain": chain,
    "penalties": penalized,
}


@pytest.fixture(params=CALLS)
def call(request):
    made = CALLS[request.param]()
    yield made
    made.operator.close()


def test_no_gradient_without_a_forward_pass(call):
    assert "there was no forward pass" in call.backward()
    assert call.is_untouched()


BAD = [
    (name, array, value, told)
    for name, array, values, told in [
        *[(cell, "tokens", (VOCABULARY, -1, 2**31 - 1), "a token is not in the vocabulary") for cell in GATES],
        *[(cell, "lengths", (0, TIME + 1, -5, 2**31 - 1), "the length of a sequence") for cell in GATES],
        *[(cell, "resets", (2, -1, 2**31 - 1), "a state is reset") for cell in GATES],
        ("softmax", "targets", (CLASSES, -1, 2**31 - 1, -(2**31)), "a target is not one of the classes"),
        ("chain", "targets", (CLASSES, -2, 2**31 - 1, -(2**31)), "a target is neither one of the labels"),
        ("chain", "lengths", (0, TIME + 1, -5, 2**31 - 1), "the length of a sequence"),
        ("softmax of some", "targets", (CLASSES, -2, 2**31 - 1, -(2**31)), "a target is neither one of the classes"),
    ]
    for value in values
]


@pytest.mark.parametrize(("name", "array", "value", "told"), BAD)
def test_after_a_forward_pass_that_failed_the_gradient_fails_in_the_same_words(name, array, value, told):
    call = CALLS[name]()
    right = call.inputs[array].copy()
    call.inputs[array].flat[-1] = value
    assert told in call.forward()
    assert told in call.backward()
    call.inputs[array] = right
    assert told in call.backward(), "the state was never filled"
    assert call.is_untouched()
    assert call.forward() is None
    assert call.backward() is None
    assert not call.is_untouched()
    call.operator.close()


@pytest.mark.parametrize(("name", "array", "value", "told"), BAD)
def test_the_gradient_checks_every_index_anew(name, array, value, told):
    call = CALLS[name]()
    assert call.forward() is None
    call.inputs[array].flat[0] = value
    assert told in call.backward()
    assert call.is_untouched()
    call.operator.close()


def test_the_gradient_wants_arrays_of_the_sizes_and_types_of_the_forward_pass(call):
    assert call.forward() is None
    right = dict(call.inputs)
    for name, array in right.items():
        if name == "table":
            continue  # the vocabulary may be any, if the tokens are in it and the gradient is as large
        call.inputs[name] = array[:-1].copy()
        assert "wrong size" in call.backward(), name
        call.inputs[name] = array.astype(np.float64)
        assert "wrong type" in call.backward(), name
        call.inputs[name] = array
    for k, gradient in enumerate(call.gradients):
        call.gradients[k] = gradient[:-1].copy()
        assert "wrong size" in call.backward()
        call.gradients[k] = np.full_like(gradient, 77)
    assert call.backward() is None


def test_the_gradient_is_computed_by_the_kernels_and_threads_of_the_forward_pass(call):
    assert call.forward() is None
    assert call.backward() is None
    expected = [gradient.copy() for gradient in call.gradients]
    assert call.forward() is None
    with computing_with(NATIVE[0], 4):
        assert call.backward() is None
    for found, wanted in zip(call.gradients, expected):
        np.testing.assert_array_equal(found, wanted)
