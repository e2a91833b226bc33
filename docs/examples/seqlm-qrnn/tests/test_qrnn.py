"""The quasi-recurrent layer: its formula, computed independently in NumPy, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
from seqlm_qrnn import QRNNOptions, build, step

import seqlm_core as seqlm

INPUT, HIDDEN, BATCH = 3, 4, 2


def initialized(options=None, dtype="float64"):
    """Return a layer with random weights, and those in NumPy under the names that the step function gets."""
    from seqlm_core.mxnet import nd

    layer = build(INPUT, HIDDEN, options or QRNNOptions())
    layer.initialize()
    layer.cast(dtype)
    random = np.random.default_rng(1)
    weights = {}
    for name, parameter in layer._collect_params_with_prefix().items():
        weights[name] = random.normal(size=parameter.shape).astype(dtype)
        parameter.set_data(nd.array(weights[name], dtype=dtype))
    return layer, weights


def run(layer, inputs, states):
    from seqlm_core.mxnet import nd

    given = [nd.array(values, dtype=values.dtype) for values in (inputs, *states)]
    outputs, after = layer.unroll(len(inputs), given[0], given[1:])
    return outputs.asnumpy(), [state.asnumpy() for state in after]


def by_formula(weights, inputs, c, last_input):
    """One scalar after the other, as the paper has it."""

    def logistic(value):
        return 1 / (1 + np.exp(-value))

    outputs = np.zeros((*inputs.shape[:2], HIDDEN))
    for row in range(inputs.shape[1]):
        for unit in range(HIDDEN):
            memory, before = c[row, unit], last_input[row]
            for time, x in enumerate(inputs[:, row]):
                total = [
                    weights["gates.now"][gate * HIDDEN + unit] @ x
                    + weights["gates.before"][gate * HIDDEN + unit] @ before
                    + weights["gates.bias"][gate * HIDDEN + unit]
                    for gate in range(3)
                ]
                forget = logistic(total[1])
                memory = forget * memory + (1 - forget) * np.tanh(total[0])
                outputs[time, row, unit] = logistic(total[2]) * memory
                before = x
    return outputs


@pytest.fixture
def example():
    random = np.random.default_rng(2)
    states = [random.normal(size=(BATCH, HIDDEN)), random.normal(size=(BATCH, INPUT))]
    return random.normal(size=(7, BATCH, INPUT)), states


def test_qrnn_conforms(seqlm_conformance):
    seqlm_conformance("cell:qrnn")


@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_layer_computes_the_formula(example, length):
    layer, weights = initialized()
    inputs, states = example
    outputs, _ = run(layer, inputs[:length], states)
    np.testing.assert_allclose(outputs, by_formula(weights, inputs[:length], *states), rtol=1e-9, atol=1e-12)


def test_a_window_goes_on_where_the_one_before_ended(example):
    layer, _ = initialized()
    inputs, states = example
    whole, after = run(layer, inputs, states)
    first, between = run(layer, inputs[:3], states)
    second, after_second = run(layer, inputs[3:], between)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-12)
    for one, other in zip(after, after_second):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_the_step_function_computes_the_formula(example):
    _, weights = initialized()
    inputs, _ = example
    states = ()
    outputs = []
    for values in inputs:
        output, states = step(weights, values, states, QRNNOptions())
        outputs.append(output)
    nothing = np.zeros((BATCH, HIDDEN)), np.zeros((BATCH, INPUT))
    np.testing.assert_allclose(outputs, by_formula(weights, inputs, *nothing), rtol=1e-9, atol=1e-12)


def test_gradients_with_respect_to_inputs_and_states_agree_with_differences(example):
    from seqlm_core.mxnet import autograd, nd

    layer, _ = initialized()
    random = np.random.default_rng(3)
    given = [nd.array(values, dtype="float64") for values in (example[0], *example[1])]
    factors = nd.array(random.normal(size=(7, BATCH, HIDDEN)), dtype="float64")

    def loss(inputs, *states):
        outputs, after = layer.unroll(7, inputs, list(states))
        return (factors * outputs).sum() + sum((state**2).sum() for state in after)

    for values in given:
        values.attach_grad()
    with autograd.record():
        total = loss(*given)
    total.backward()
    for place, values in enumerate(given):
        direction = nd.array(random.normal(size=values.shape), dtype="float64")
        ends = []
        for sign in (1e-6, -1e-6):
            moved = [other + sign * direction if i == place else other for i, other in enumerate(given)]
            ends.append(float(loss(*moved).asscalar()))
        by_gradient = float((values.grad * direction).sum().asscalar())
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(by_gradient, rel=1e-6)


def test_the_bias_of_the_forget_gate_is_what_the_option_says(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to and fro and to and fro again.\n" * 30)
    sizes = {"hidden_size": HIDDEN, "batch_size": 2, "sequence_length": 5, "learning_rate": 1e-9, "quiet": True}
    out = tmp_path / "run"
    run = seqlm.train(path, cell="qrnn", cell_options={"forget_bias": 2}, out=out, max_steps=1, **sizes)
    bias = run.weights["forward_stack.0.gates.bias"]
    np.testing.assert_allclose(bias, [0] * HIDDEN + [2] * HIDDEN + [0] * HIDDEN, atol=1e-6)
