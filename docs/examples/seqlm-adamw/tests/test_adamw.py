"""AdamW: its formula, computed independently in NumPy, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from seqlm_adamw import AdamWOptions, build

import seqlm_core as seqlm

TEXT = "the cat sat on the mat, the other cat sat there.\n" * 60
SIZES = {
    "hidden_size": 8, "batch_size": 4, "sequence_length": 10, "schedule": "constant", "sample_every": 0, "quiet": True
}  # fmt: skip


def descend(options, rates, shape, seed=1):
    """Return the weights after a step at each of the rates, by the plugin and by the formula in float64."""
    from seqlm_core.mxnet import mx, nd

    random = np.random.default_rng(seed)
    expected = random.normal(size=shape)
    weight = nd.array(expected)
    optimizer = build(0.01, options)
    update = mx.optimizer.get_updater(optimizer)
    m, v = np.zeros(shape), np.zeros(shape)
    decay = options.weight_decay if len(shape) > 1 else 0
    for t, rate in enumerate(rates, 1):
        gradient = random.normal(size=shape)
        m = options.beta1 * m + (1 - options.beta1) * gradient
        v = options.beta2 * v + (1 - options.beta2) * gradient**2
        step = (m / (1 - options.beta1**t)) / (np.sqrt(v / (1 - options.beta2**t)) + options.epsilon)
        expected = expected - rate * (step + decay * expected)
        optimizer.set_learning_rate(rate)
        update(0, nd.array(gradient), weight)
    return weight.asnumpy(), expected


def test_adamw_conforms(seqlm_conformance):
    seqlm_conformance("optimizer:adamw")


@pytest.mark.parametrize("shape", [(5, 3), (5,)], ids=["matrix", "vector"])
@pytest.mark.parametrize(
    "options", [AdamWOptions(), AdamWOptions(0.0), AdamWOptions(0.5, beta1=0.5, beta2=0.9, epsilon=0.1)]
)
def test_a_step_is_that_of_the_formula(options, shape):
    found, expected = descend(options, [0.01, 0.02, 0.05, 0.0, 0.03], shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_without_gradients_matrices_shrink_and_vectors_stay():
    from seqlm_core.mxnet import mx, nd

    optimizer = build(0.1, AdamWOptions(weight_decay=0.5))
    update = mx.optimizer.get_updater(optimizer)
    matrix, vector = nd.ones((2, 2)), nd.ones((2,))
    for _ in range(3):
        update(0, nd.zeros((2, 2)), matrix)
        update(1, nd.zeros((2,)), vector)
    np.testing.assert_allclose(matrix.asnumpy(), 0.95**3, rtol=1e-6)
    np.testing.assert_array_equal(vector.asnumpy(), 1)


def test_without_decay_a_training_is_that_of_adam(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    adam = seqlm.train(path, optimizer="adam", out=tmp_path / "adam", epochs=2, **SIZES)
    none = {"weight_decay": 0.0}
    adamw = seqlm.train(path, optimizer="adamw", optimizer_options=none, out=tmp_path / "adamw", epochs=2, **SIZES)
    for name, weights in adam.weights.items():
        np.testing.assert_allclose(adamw.weights[name], weights, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "values",
    [{"beta1": 1.0}, {"beta2": -0.1}, {"epsilon": 0.0}, {"weight_decay": -1.0}],
    ids=lambda values: str(values),
)
def test_options_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        AdamWOptions(**values)
