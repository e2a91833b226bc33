"""Optimizers against their published formulas, clipping, and their state."""

from __future__ import annotations

import numpy as np
import pytest

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import gluon, mx, nd
from seqlm_core.settings.schedules import SCHEDULES
from seqlm_core.training.learning_rate import learning_rate
from seqlm_core.training.updates import Updates, clip_global_norm

SHAPES = {"a": (3, 4), "b": (5,)}
RATE = 0.05


def make_updates(name, clip_norm=0.0, **options):
    spec = seqlm.installed_plugins().optimizers.get(name)
    parameters = {key: gluon.Parameter(key, shape=shape) for key, shape in SHAPES.items()}
    for parameter in parameters.values():
        parameter.initialize(init=mx.init.Zero())
        parameter.set_data(nd.array(np.random.default_rng(1).normal(size=parameter.shape)))
    return Updates(parameters, spec.build(RATE, spec.options(**options)), clip_norm), parameters


def gradients(step):
    random = np.random.default_rng(100 + step)
    return {key: random.normal(size=shape).astype(np.float32) for key, shape in SHAPES.items()}


def take_step(updates, parameters, step, rate=RATE):
    for key, gradient in gradients(step).items():
        parameters[key].list_grad()[0][:] = nd.array(gradient)
    updates.step(rate)


def sgd(w, g, state, t, momentum=0.9):
    """Polyak 1964: v' = m v - rate g, w' = w + v'."""
    v = momentum * state.get("v", 0) - RATE * g
    state["v"] = v
    return w + v


def nesterov(w, g, state, t, momentum=0.9):
    """Sutskever et al. 2013, written for the point looked ahead at: w' = w - rate (g + m (m v + g))."""
    v = momentum * state.get("v", 0) + g
    state["v"] = v
    return w - RATE * (g + momentum * v)


def rmsprop(w, g, state, t, decay=0.95, epsilon=1e-8):
    """Tieleman and Hinton 2012."""
    n = decay * state.get("n", 0) + (1 - decay) * g**2
    state["n"] = n
    return w - RATE * g / np.sqrt(n + epsilon)


def adam(w, g, state, t, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Kingma and Ba 2015, algorithm 1 with the corrections of its section 2 in the rate."""
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    v = beta2 * state.get("v", 0) + (1 - beta2) * g**2
    state["m"], state["v"] = m, v
    return w - RATE * np.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + epsilon)


@pytest.mark.parametrize(
    ("name", "options", "formula"),
    [
        ("sgd", {}, sgd),
        ("sgd", {"momentum": 0.0}, lambda w, g, s, t: sgd(w, g, s, t, 0.0)),
        ("sgd", {"nesterov": True}, nesterov),
        ("sgd", {"weight_decay": 0.1}, lambda w, g, s, t: sgd(w, g + 0.1 * w, s, t)),
        ("rmsprop", {}, rmsprop),
        ("rmsprop", {"decay": 0.5, "epsilon": 1e-2}, lambda w, g, s, t: rmsprop(w, g, s, t, 0.5, 1e-2)),
        ("adam", {}, adam),
        (
            "adam",
            {"beta1": 0.5, "beta2": 0.9, "weight_decay": 0.1},
            lambda w, g, s, t: adam(w, g + 0.1 * w, s, t, 0.5, 0.9),
        ),
    ],
)
def test_first_steps_follow_the_published_formula(name, options, formula):
    updates, parameters = make_updates(name, **options)
    expected = {key: p.data().asnumpy().astype(float) for key, p in parameters.items()}
    states = {key: {} for key in SHAPES}
    for t in range(1, 6):
        take_step(updates, parameters, t)
        for key, gradient in gradients(t).items():
            expected[key] = formula(expected[key], gradient.astype(float), states[key], t)
            np.testing.assert_allclose(parameters[key].data().asnumpy(), expected[key], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", seqlm.installed_plugins().optimizers.names())
def test_a_restored_optimizer_goes_on_to_the_bit(name):
    whole, parameters = make_updates(name)
    for step in range(3):
        take_step(whole, parameters, step)
    resumed, resumed_parameters = make_updates(name)
    resumed.restore(whole.state(), steps=3)
    for key, parameter in resumed_parameters.items():
        parameter.set_data(parameters[key].data().copy())
    for step in range(3, 6):
        take_step(whole, parameters, step)
        take_step(resumed, resumed_parameters, step)
    for key in SHAPES:
        np.testing.assert_array_equal(parameters[key].data().asnumpy(), resumed_parameters[key].data().asnumpy())


def test_the_state_of_another_optimizer_is_refused():
    adam_updates, parameters = make_updates("adam")
    take_step(adam_updates, parameters, 1)
    with pytest.raises(seqlm.RunError, match="optimizer state"):
        make_updates("rmsprop")[0].restore(adam_updates.state(), steps=1)


@pytest.mark.parametrize("largest", [0.5, 2.0, 100.0])
def test_clipping_keeps_the_direction_and_bounds_the_norm(largest):
    arrays = list(gradients(1).values())
    norm = np.sqrt(sum((a.astype(float) ** 2).sum() for a in arrays))
    clipped = [nd.array(a) for a in arrays]
    assert clip_global_norm(clipped, largest).asscalar() == pytest.approx(norm, rel=1e-6)
    for before, after in zip(arrays, clipped):
        np.testing.assert_allclose(after.asnumpy(), before * min(1, largest / norm), rtol=1e-5)


def test_clipping_leaves_zero_gradients_zero():
    zeros = [nd.zeros((3,)), nd.zeros((2, 2))]
    clip_global_norm(zeros, 1.0)
    assert all((z.asnumpy() == 0).all() for z in zeros)


def test_clipped_steps_use_the_clipped_gradient():
    updates, parameters = make_updates("sgd", clip_norm=0.1, momentum=0.0)
    before = {key: p.data().asnumpy() for key, p in parameters.items()}
    take_step(updates, parameters, 1)
    moved = np.sqrt(sum(((before[k] - p.data().asnumpy()) ** 2).sum() for k, p in parameters.items()))
    assert moved == pytest.approx(0.1 * RATE, rel=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_begin_at_the_base_rate_and_never_rise(schedule):
    rates = [learning_rate(0.1, schedule, 0, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates, rates[1:]))
    assert rates[-1] == pytest.approx({"constant": 0.1, "cosine": 0.005, "step": 0.001}[schedule], rel=1e-3)


def test_cosine_is_half_way_in_the_middle_and_step_divides_at_half_and_three_quarters():
    assert learning_rate(1.0, "cosine", 0, 500, 1000) == pytest.approx(0.525)
    rates = [learning_rate(1.0, "step", 0, step, 1000) for step in (499, 500, 749, 750)]
    assert rates == pytest.approx([1, 0.1, 0.1, 0.01])


def test_warmup_rises_in_a_straight_line():
    rates = [learning_rate(1.0, "constant", 4, step, 100) for step in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
