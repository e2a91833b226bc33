"""The native training kernels against MXNet's own cells and optimizers, and what becomes of them in a training."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, gluon, mx, nd
from seqlm_core.model.heads import SoftmaxHead
from seqlm_core.model.recurrent_layer import RecurrentLayer
from seqlm_core.native import GATES
from seqlm_core.native import training as native
from seqlm_core.training.updates import Updates

AVAILABLE = native.available_backends()
NATIVE = AVAILABLE[1:]
needs_library = pytest.mark.usefixtures("training_library")
backends = st.sampled_from(NATIVE or [native.MXNET])
cells = st.sampled_from(sorted(GATES))
sizes = st.integers(1, 40) | st.sampled_from([64, 100, 104])

CELLS = {
    "rnn_tanh": lambda size, width: gluon.rnn.RNNCell(size, activation="tanh", input_size=width),
    "rnn_relu": lambda size, width: gluon.rnn.RNNCell(size, activation="relu", input_size=width),
    "gru": lambda size, width: gluon.rnn.GRUCell(size, input_size=width),
    "lstm": lambda size, width: gluon.rnn.LSTMCell(size, input_size=width),
}
PARAMETERS = ["i2h_weight", "h2h_weight", "i2h_bias", "h2h_bias"]


@contextlib.contextmanager
def using(name, threads=1):
    """Compute with a backend and so many threads, however little there is to do."""
    with native.chosen_backend(name), pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "LEAST_MULTIPLICATIONS", 1)
        patch.setenv("OMP_NUM_THREADS", str(threads))
        native._use(name)
        yield


def assert_close(found, expected, share=1e-4):
    """Within a share of each array's largest value."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        largest = max(float(np.abs(values).max()), 1e-3)
        np.testing.assert_allclose(found[name], values, rtol=0, atol=share * largest, err_msg=name)


class Case:
    """A layer's sizes, weights, inputs, states, and the gradients of its outputs, all random."""

    def __init__(self, seed, formula, units, channels, time, batch):
        self.random = np.random.default_rng(seed)
        self.formula, self.units, self.channels, self.time, self.batch = formula, units, channels, time, batch
        rows = GATES[formula] * units
        self.weights = {
            "i2h_weight": self.normal(rows, channels) / np.sqrt(channels),
            "h2h_weight": self.normal(rows, units) / np.sqrt(units),
            "i2h_bias": self.normal(rows) / 10,
            "h2h_bias": self.normal(rows) / 10,
        }
        self.inputs = self.normal(time, batch, channels)
        count = 2 if formula == "lstm" else 1
        self.states = {f"state {k}": self.normal(batch, units) / 2 for k in range(count)}
        self.factors = [self.normal(time, batch, units), *(self.normal(batch, units) for _ in range(count))]
        self.lengths = np.full(batch, time)
        self.resets = np.zeros((time, batch), dtype=np.int32)

    def normal(self, *shape):
        return self.random.normal(size=shape)

    def layer(self, dtype="float32"):
        layer = RecurrentLayer(self.formula, self.channels, self.units)
        layer.cast(dtype)
        layer.initialize()
        for name, values in self.weights.items():
            getattr(layer, name).set_data(nd.array(values, dtype=dtype))
        return layer

    def arrays(self, dtype="float32"):
        """Return arrays of inputs and states that take gradients."""
        found = {"inputs": nd.array(self.inputs, dtype=dtype)}
        found.update({name: nd.array(values, dtype=dtype) for name, values in self.states.items()})
        for array in found.values():
            array.attach_grad()
        return found

    def total(self, outputs):
        return sum((output * nd.array(f, dtype=output.dtype)).sum() for output, f in zip(outputs, self.factors))

    def expected(self, reverse=False):
        """Outputs, states and gradients by MXNet's cells in float64, each sequence alone."""
        cell = CELLS[self.formula](self.units, self.channels)
        cell.cast("float64")
        cell.initialize()
        parameters = {name: getattr(cell, name) for name in PARAMETERS}
        for name, parameter in parameters.items():
            parameter.set_data(nd.array(self.weights[name], dtype="float64"))
        arrays = self.arrays("float64")
        inputs, *states = arrays.values()
        with autograd.record():
            columns, ends = [], []
            for sequence, length in enumerate(self.lengths):
                state = [s[sequence : sequence + 1] for s in states]
                read = [nd.zeros((1, self.units), dtype="float64")] * self.time
                for t in reversed(range(length)) if reverse else range(length):
                    if self.resets[t, sequence]:
                        state = [nd.zeros_like(s) for s in state]
                    read[t], state = cell(inputs[t, sequence : sequence + 1], state)
                columns.append(nd.stack(*read, axis=0))
                ends.append(state)
            outputs = [nd.concat(*columns, dim=1), *(nd.concat(*end, dim=0) for end in zip(*ends))]
            total = self.total(outputs)
        total.backward()
        return self.found(outputs, arrays, parameters)

    def found(self, outputs, arrays, parameters):
        values = {f"output {k}": output.asnumpy() for k, output in enumerate(outputs)}
        values.update({f"gradient of {name}": array.grad.asnumpy() for name, array in arrays.items()})
        values.update({f"gradient of {name}": parameter.grad().asnumpy() for name, parameter in parameters.items()})
        return values

    def by_layer(self, layer=None):
        """The same by the layer."""
        layer = layer or self.layer()
        arrays = self.arrays()
        inputs, *states = arrays.values()
        with autograd.record():
            outputs, after = layer(inputs, states)
            total = self.total([outputs, *after])
        total.backward()
        return self.found([outputs, *after], arrays, {name: getattr(layer, name) for name in PARAMETERS})


seeds = st.integers(0, 2**32 - 1)
cases = st.builds(
    Case,
    seeds,
    cells,
    units=sizes,
    channels=sizes,
    time=st.integers(1, 9),
    batch=st.integers(1, 14),
)
checked = settings(max_examples=60, deadline=None)


@needs_library
@given(case=cases, backend=backends, threads=st.integers(1, 4))
@checked
def test_a_layer_agrees_with_mxnets_cell_in_float64(case, backend, threads):
    with using(backend, threads):
        assert_close(case.by_layer(), case.expected())


@needs_library
@given(case=cases, backend=backends, threads=st.integers(1, 4), reverse=st.booleans(), data=st.data())
@checked
def test_sequences_of_unequal_length_and_with_resets_give_what_each_gives_alone(case, backend, threads, reverse, data):
    lengths = st.lists(st.integers(1, case.time), min_size=case.batch, max_size=case.batch)
    case.lengths = np.array(data.draw(lengths))
    case.resets = case.random.integers(0, 2, case.resets.shape)
    arrays = case.arrays()
    inputs, *states = arrays.values()
    parameters = {name: getattr(case.layer(), name) for name in PARAMETERS}
    with using(backend, threads):
        with autograd.record():
            rows = len(case.weights["i2h_bias"])
            w = {name: parameter.data() for name, parameter in parameters.items()}
            products = nd.FullyConnected(inputs, w["i2h_weight"], w["i2h_bias"], num_hidden=rows, flatten=False)
            outputs, after = native.recurrent_layer(
                nd,
                case.formula,
                products,
                w["h2h_weight"],
                w["h2h_bias"],
                states,
                lengths=nd.array(case.lengths, dtype="int32"),
                reverse=reverse,
                resets=nd.array(case.resets, dtype="int32"),
            )
            total = case.total([outputs, *after])
        total.backward()
        assert_close(case.found([outputs, *after], arrays, parameters), case.expected(reverse))


@needs_library
@given(case=cases, backend=backends, threads=st.integers(1, 4), share=st.sampled_from([0.05, 0.3, 1]))
@checked
def test_a_layer_with_resets_agrees_with_mxnets_cell_that_begins_afresh(case, backend, threads, share):
    case.resets = (case.random.random(case.resets.shape) < share).astype(np.int32)
    layer, arrays = case.layer(), case.arrays()
    inputs, *states = arrays.values()
    with using(backend, threads):
        with autograd.record():
            outputs, after = layer.read_documents(inputs, states, nd.array(case.resets, dtype="int32"))
            total = case.total([outputs, *after])
        total.backward()
        found = case.found([outputs, *after], arrays, {name: getattr(layer, name) for name in PARAMETERS})
        assert_close(found, case.expected())


@needs_library
def test_what_is_before_a_reset_is_not_read_even_if_it_is_not_finite(in_use):
    case = Case(1, "lstm", units=5, channels=3, time=4, batch=2)
    case.resets[0] = 1
    layer, arrays = case.layer(), case.arrays()
    inputs, *states = arrays.values()
    for state in states:
        state[:] = np.nan
    with autograd.record():
        outputs, after = layer.read_documents(inputs, states, nd.array(case.resets, dtype="int32"))
        total = case.total([outputs, *after])
    total.backward()
    found = case.found([outputs, *after], arrays, {name: getattr(layer, name) for name in PARAMETERS})
    assert all(np.isfinite(values).all() for values in found.values())


@needs_library
@given(case=cases, backend=backends, threads=st.integers(1, 4), one_hot=st.booleans(), data=st.data())
@checked
def test_tokens_give_what_their_vectors_give(case, backend, threads, one_hot, data):
    case.resets = case.random.integers(0, 2, case.resets.shape) * data.draw(st.integers(0, 1))
    vocabulary = case.channels if one_hot else data.draw(st.integers(1, 30))
    ids = case.random.integers(0, vocabulary, (case.time, case.batch))
    table = np.eye(vocabulary) if one_hot else case.normal(vocabulary, case.channels)
    case.inputs = table[ids]
    expected = case.expected()
    to_vectors = np.zeros_like(table)
    np.add.at(to_vectors, ids, expected.pop("gradient of inputs"))
    layer, arrays = case.layer(), case.arrays()
    states = list(arrays.values())[1:]
    embedding = None if one_hot else nd.array(table)
    if embedding is not None:
        embedding.attach_grad()
        expected["gradient of embedding"] = to_vectors
    with using(backend, threads):
        with autograd.record():
            resets = nd.array(case.resets, dtype="int32") if case.resets.any() else None
            outputs, after = layer.read_tokens(nd.array(ids, dtype="int32"), states, embedding, resets)
            total = case.total([outputs, *after])
        total.backward()
        del arrays["inputs"]
        arrays.update({} if embedding is None else {"embedding": embedding})
        assert_close(
            case.found([outputs, *after], arrays, {name: getattr(layer, name) for name in PARAMETERS}), expected
        )


@needs_library
@given(
    seed=seeds,
    backend=backends,
    threads=st.integers(1, 4),
    rows=st.integers(1, 12) | st.sampled_from([300, 600]),
    units=sizes,
    classes=sizes,
)
@checked
def test_the_softmax_loss_is_that_of_log_softmax_in_float64(seed, backend, threads, rows, units, classes):
    random = np.random.default_rng(seed)
    values = {
        "hidden": random.normal(size=(rows, units)),
        "weight": random.normal(size=(classes, units)),
        "bias": random.normal(size=classes) * 5,
    }
    targets, factors = random.integers(0, classes, rows), random.normal(size=rows)

    def computed(dtype, loss):
        arrays = {name: nd.array(value, dtype=dtype) for name, value in values.items()}
        for array in arrays.values():
            array.attach_grad()
        with autograd.record():
            losses = loss(**arrays)
            total = (losses * nd.array(factors, dtype=dtype)).sum()
        total.backward()
        return {"losses": losses.asnumpy(), **{name: array.grad.asnumpy() for name, array in arrays.items()}}

    def by_log_softmax(hidden, weight, bias):
        scores = nd.dot(hidden, weight, transpose_b=True) + bias
        return -nd.pick(nd.log_softmax(scores), nd.array(targets))

    with using(backend, threads):
        found = computed("float32", lambda **a: native.softmax_loss(nd, **a, targets=nd.array(targets, dtype="int32")))
    assert_close(found, computed("float64", by_log_softmax))


@needs_library
@given(
    seed=seeds,
    backend=backends,
    threads=st.integers(1, 4),
    rows=st.integers(1, 12) | st.sampled_from([300, 600]),
    units=sizes,
    classes=sizes,
    share=st.sampled_from([0, 0.1, 1]),
)
@checked
def test_the_softmax_loss_of_some_rows_is_that_of_these_rows_alone(seed, backend, threads, rows, units, classes, share):
    random = np.random.default_rng(seed)
    values = [random.normal(size=(rows, units)), random.normal(size=(classes, units)), random.normal(size=classes)]
    targets = np.where(random.random(rows) < share, random.integers(0, classes, rows), -1)
    chosen = np.flatnonzero(targets >= 0)
    factors = random.normal(size=rows)

    def computed(loss, hidden, targets, factors):
        arrays = [nd.array(value, dtype="float32") for value in (hidden, *values[1:])]
        for array in arrays:
            array.attach_grad()
        with autograd.record():
            losses = loss(nd, *arrays, nd.array(targets, dtype="int32"))
            total = (losses * nd.array(factors, dtype="float32")).sum()
        total.backward()
        return [losses.asnumpy(), *(array.grad.asnumpy() for array in arrays)]

    with using(backend, threads):
        losses, *gradients = computed(native.some_softmax_loss, values[0], targets, factors)
        others = np.delete(np.arange(rows), chosen)
        assert not losses[others].any()
        assert not gradients[0][others].any()
        if len(chosen):
            wanted = computed(native.softmax_loss, values[0][chosen], targets[chosen], factors[chosen])
            for found, expected in zip([losses[chosen], gradients[0][chosen], *gradients[1:]], wanted):
                np.testing.assert_array_equal(found, expected)
        else:
            assert not any(gradient.any() for gradient in gradients)


@needs_library
@given(
    seed=seeds,
    backend=backends,
    threads=st.integers(1, 4),
    shape=st.sampled_from([(7,), (3, 1), (2, 13), (9, 30), (40, 16), (1, 65)]),
    inputs=sizes,
    outputs=sizes | st.sampled_from([400]),
)
@checked
def test_a_projection_is_a_product_of_matrices_in_float64(seed, backend, threads, shape, inputs, outputs):
    random = np.random.default_rng(seed)
    x, w = random.normal(size=(*shape, inputs)), random.normal(size=(outputs, inputs))
    b, factors = random.normal(size=outputs), random.normal(size=(*shape, outputs))
    arrays = {"inputs": nd.array(x), "weight": nd.array(w), "bias": nd.array(b)}
    for array in arrays.values():
        array.attach_grad()
    with using(backend, threads):
        with autograd.record():
            products = native.projection(nd, *arrays.values())
            total = (products * nd.array(factors)).sum()
        total.backward()
        found = {"products": products.asnumpy(), **{name: array.grad.asnumpy() for name, array in arrays.items()}}
    rows, gradients = x.reshape(-1, inputs), factors.reshape(-1, outputs)
    expected = {
        "products": x @ w.T + b,
        "inputs": factors @ w,
        "weight": gradients.T @ rows,
        "bias": gradients.sum(axis=0),
    }
    assert_close(found, expected)


@pytest.fixture(params=NATIVE or ["none"])
def in_use(training_library, request):
    with using(request.param, 2):
        yield request.param


@needs_library
@pytest.mark.parametrize("formula", sorted(GATES))
def test_gradients_can_be_taken_twice_and_after_other_readings(in_use, formula):
    case = Case(1, formula, 33, 7, 6, 5)
    layer = case.layer()
    layer.hybridize(static_alloc=True, static_shape=True)
    head = SoftmaxHead(9, 33)
    head.initialize()
    targets = nd.array(case.random.integers(0, 9, (6, 5)), dtype="int32")
    arrays = case.arrays()
    inputs, *states = arrays.values()
    layer(inputs, states)
    with autograd.record():
        outputs, after = layer(inputs, states)
        total = case.total([outputs, *after]) + head.loss(outputs, targets).sum()
    layer(inputs * 0, [state * 0 for state in states])
    total.backward(retain_graph=True)
    parameters = {name: getattr(layer, name) for name in PARAMETERS}
    parameters.update({"head weight": head.weight, "head bias": head.bias})
    first = case.found([], arrays, parameters)
    total.backward()
    second = case.found([], arrays, parameters)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


@needs_library
@pytest.mark.parametrize("formula", sorted(GATES))
def test_gradients_are_added_up_where_that_is_asked_for(in_use, formula):
    case = Case(2, formula, 20, 5, 4, 3)
    once = case.by_layer()
    layer = case.layer()
    for name in PARAMETERS:
        getattr(layer, name).grad_req = "add"
    for name in PARAMETERS:
        getattr(layer, name).zero_grad()
    case.by_layer(layer)
    twice = case.by_layer(layer)
    for name in PARAMETERS:
        key = f"gradient of {name}"
        np.testing.assert_allclose(twice[key], 2 * once[key], rtol=1e-5, atol=1e-6, err_msg=name)


@needs_library
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("formula", sorted(GATES))
def test_the_same_number_of_threads_gives_the_same_to_the_bit(formula, threads):
    case = Case(3, formula, 100, 20, 12, 26)
    with using(NATIVE[-1], threads):
        first, second = case.by_layer(), case.by_layer()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


@needs_library
@pytest.mark.parametrize("formula", sorted(GATES))
def test_what_is_not_a_number_is_not_hidden(in_use, formula):
    case = Case(4, formula, 17, 3, 3, 2)
    case.inputs[0, 1, 2] = np.nan
    found = case.by_layer()
    assert np.isnan(found["output 0"][:, 1]).any(axis=1).all()
    assert not np.isnan(found["output 0"][:, 0]).any()
    head = SoftmaxHead(5, 17)
    head.initialize()
    losses = head.loss(nd.array(found["output 0"]), nd.zeros((3, 2), dtype="int32")).asnumpy()
    assert np.isnan(losses[:, 1]).all()
    assert not np.isnan(losses[:, 0]).any()


def recurrent(tokens=((0, 1),), lengths=(1, 1), units=2, states=1, resets=((0, 1),)):
    return native.recurrent_layer(
        nd,
        "gru",
        nd.ones((3, 3 * units)),
        nd.ones((3 * units, units)),
        nd.ones(3 * units),
        [nd.ones((2, units))] * states,
        tokens=nd.array(tokens, dtype="int32"),
        lengths=nd.array(lengths, dtype="int32"),
        resets=nd.array(resets, dtype="int32"),
    )


def softmax(targets, dtype="int32"):
    return [native.softmax_loss(nd, nd.ones((1, 2)), nd.ones((3, 2)), nd.ones(3), nd.array(targets, dtype=dtype))]


@needs_library
@pytest.mark.parametrize(
    ("compute", "told"),
    [
        (lambda: recurrent(tokens=[[0, 3]]), "a token is not in the vocabulary"),
        (lambda: recurrent(tokens=[[-1, 0]]), "a token is not in the vocabulary"),
        (lambda: recurrent(lengths=[0, 1]), "length of a sequence"),
        (lambda: recurrent(lengths=[2, 1]), "length of a sequence"),
        (lambda: recurrent(lengths=[1]), "do not fit together"),
        (lambda: recurrent(tokens=[[0]]), "do not fit together"),
        (lambda: recurrent(resets=[[0]]), "do not fit together"),
        (lambda: recurrent(resets=[[0, 2]]), "a state is reset"),
        (lambda: softmax([3]), "a target is not one of the classes"),
        (lambda: softmax([-1]), "a target is not one of the classes"),
        (lambda: softmax([0], "float32"), "must be of int32"),
    ],
)
def test_what_is_out_of_range_is_an_error(in_use, compute, told):
    with pytest.raises(mx.MXNetError, match=told):
        compute()[0].asnumpy()


OPTIMIZERS = [
    ("sgd", {"momentum": 0.0}),
    ("sgd", {"momentum": 0.9, "wd": 0.01}),
    ("nag", {"momentum": 0.9}),
    ("rmsprop", {"gamma1": 0.95, "wd": 0.01}),
    ("adam", {"beta1": 0.8, "wd": 0.01, "rescale_grad": 0.5}),
]


@needs_library
@pytest.mark.parametrize("clip_norm", [0.0, 1.0, 1e6])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
@pytest.mark.parametrize("threads", [1, 3])
def test_updates_equal_those_of_mxnets_optimizers(name, options, clip_norm, threads):
    shapes = [(33, 7), (1,), (100, 65), (5,)]
    random = np.random.default_rng(5)
    values = [random.normal(size=shape) for shape in shapes]
    steps = [[random.normal(size=shape) for shape in shapes] for _ in range(6)]

    def updated(backend):
        with using(backend, threads):
            parameters = {}
            for k, value in enumerate(values):
                parameters[f"p{k}"] = parameter = gluon.Parameter(f"p{k}", shape=value.shape)
                parameter.initialize()
                parameter.set_data(nd.array(value))
            updates = Updates(parameters, mx.optimizer.create(name, learning_rate=0.05, **options), clip_norm)
            assert (updates._native is None) == (backend == native.MXNET)
            for k, gradients in enumerate(steps):
                for parameter, gradient in zip(parameters.values(), gradients):
                    parameter.list_grad()[0][:] = nd.array(gradient)
                updates.step(0.05 / (k + 1))
            return {**{n: p.data().asnumpy() for n, p in parameters.items()}, **updates.state()}

    expected = updated(native.MXNET)
    for backend in NATIVE:
        assert_close(updated(backend), expected, share=5e-5)


@needs_library
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nag", {"momentum": 0.9, "wd": 0.1}),
        ("adam", {"clip_gradient": 1.0}),
        ("rmsprop", {"centered": True}),
        ("ftrl", {}),
    ],
)
def test_what_the_native_rules_do_not_do_is_left_to_mxnet(name, options):
    parameter = gluon.Parameter("p", shape=(3,))
    parameter.initialize()
    assert Updates({"p": parameter}, mx.optimizer.create(name, **options), 1.0)._native is None


@needs_library
def test_float64_is_left_to_mxnet():
    case = Case(6, "lstm", 5, 4, 3, 2)
    layer = case.layer("float64")
    assert not layer.is_native
    inputs, *states = case.arrays("float64").values()
    outputs, _ = layer(inputs, states)
    np.testing.assert_allclose(outputs.asnumpy(), case.expected()["output 0"], atol=1e-12)


TRAINING = {
    "hidden_size": 24,
    "layers": 2,
    "sequence_length": 20,
    "batch_size": 8,
    "dropout": 0.1,
    "max_steps": 12,
    "sample_every": 0,
    "log_every": 1,
    "warmup": 2,
    "quiet": True,
}


def losses_of(run):
    return [record["training_nats_per_token"] for record in run.history() if record["kind"] == "report"]


@needs_library
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"])
def test_a_training_is_the_same_with_mxnets_operators_to_rounding(cell, short_text, tmp_path):
    losses = {}
    for backend in AVAILABLE:
        with using(backend):
            run = seqlm.train(short_text, cell=cell, out=tmp_path / backend, **TRAINING)
        assert json.loads((tmp_path / backend / "config.json").read_text())["kernels"] == backend
        losses[backend] = losses_of(run)
        assert len(losses[backend]) == 12
    for backend in NATIVE:
        np.testing.assert_allclose(losses[backend], losses[native.MXNET], rtol=1e-4)


@needs_library
@pytest.mark.parametrize("backend", AVAILABLE)
def test_a_resumed_training_takes_the_backend_that_it_began_with(backend, short_text, tmp_path):
    settings = {**TRAINING, "schedule": "constant", "cell": "lstm"}
    with using(backend):
        seqlm.train(short_text, out=tmp_path / "whole", **settings)
        seqlm.train(short_text, out=tmp_path / "parts", **{**settings, "max_steps": 5})
    seqlm.resume(tmp_path / "parts", max_steps=12, quiet=True)
    whole, parts = (seqlm.LanguageRun(tmp_path / name) for name in ("whole", "parts"))
    assert losses_of(whole) == losses_of(parts)


@needs_library
def test_a_run_goes_on_without_the_backend_that_it_began_with_and_says_so(short_text, tmp_path, monkeypatch, caplog):
    settings = {**TRAINING, "schedule": "constant"}
    with using(NATIVE[-1]):
        whole = seqlm.train(short_text, out=tmp_path / "whole", **settings)
        seqlm.train(short_text, out=tmp_path / "parts", **{**settings, "max_steps": 5})
    monkeypatch.setenv("SEQLM_NATIVE", "0")
    with caplog.at_level(logging.INFO, "seqlm"):
        parts = seqlm.resume(tmp_path / "parts", max_steps=12, quiet=True)
    assert f"begun with {NATIVE[-1]} kernels and goes on with mxnet" in caplog.text
    threads = os.environ["OMP_NUM_THREADS"]
    assert f"computing on cpu(0) with MXNet's operators, {threads} thread" in caplog.text
    np.testing.assert_allclose(losses_of(parts), losses_of(whole), rtol=1e-4)


@needs_library
def test_a_library_built_from_other_sources_is_not_used(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(native, "INTERFACE", -1)
    other = shutil.copy(native.LIBRARY, tmp_path / "libseqlm_training.so")
    assert native._load(other) is None
    assert "install seqlm again" in caplog.text


@pytest.mark.parametrize(
    ("device", "built", "machine", "is_told"),
    [
        ("cpu", False, "x86_64", True),
        ("cpu", True, "x86_64", False),
        ("cpu", False, "aarch64", False),
        ("gpu", False, "x86_64", False),
    ],
)
def test_who_could_have_the_kernels_and_has_not_is_told_so(device, built, machine, is_told, tmp_path, monkeypatch):
    library = tmp_path / "library.so"
    if built:
        library.touch()
    monkeypatch.setattr(native, "LIBRARY", library)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: machine)
    told = native.missing_kernels(mx.Context(device))
    assert (told is not None) == is_told
    assert told is None or "install seqlm again: pip install --force-reinstall --no-deps ." in told
