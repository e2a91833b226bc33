"""The checks of optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.conformance.check import Checks, demand
from seqlm_core.conformance.training import check_learning, check_resuming
from seqlm_core.engine.mxnet import gluon, mx, nd
from seqlm_core.model.inputs import EmbeddingInput
from seqlm_core.plugins.components import Component, build_optimizer
from seqlm_core.plugins.specs import OptimizerSpec
from seqlm_core.training.embedding_rows import EmbeddingRows
from seqlm_core.training.missed_steps import coasting_rule
from seqlm_core.training.updates import Updates

Optimizer = Component[OptimizerSpec]

SHAPES = {"weight": (4, 3), "bias": (4,)}
STEPS = 300
CURVATURES = (1.0, 10.0)

checks = Checks()


@checks("builds a mxnet Optimizer with the learning rate that it is given", "build(learning_rate, options)")
def builds_an_optimizer(optimizer: Optimizer) -> str:
    for rate in (optimizer.spec.default_learning_rate, 0.125):
        built = build_optimizer(optimizer, rate)
        demand(np.isclose(built.learning_rate, rate), f"the learning rate is {built.learning_rate} instead of {rate}")
    return ""


@checks(
    "keeps its states on the device of the weights, which may be a GPU",
    "create_state, which has to make arrays with ctx=weight.context",
)
def states_are_on_the_given_device(optimizer: Optimizer) -> str:
    # MXNet keeps this device apart from cpu(0), as it does a GPU.
    _Quadratic(optimizer, device=mx.cpu(1)).step(optimizer.spec.default_learning_rate)
    return ""


@checks("descends on a quadratic", "the sign of the update, and the default learning rate")
def descends_on_a_quadratic(optimizer: Optimizer) -> str:
    best = np.inf
    # A learning rate that is right for the clipped gradients of a network may be too large for a quadratic.
    for factor in (1.0, 0.1, 0.01):
        quadratic = _Quadratic(optimizer)
        before = quadratic.loss
        for _ in range(STEPS):
            quadratic.step(factor * optimizer.spec.default_learning_rate)
        best = min(best, quadratic.loss / before)
    demand(
        best < 0.9,
        f"after {STEPS} steps at the default learning rate, or at a tenth or a hundredth of it, the loss is "
        f"{best:.3g} times that of the beginning at best",
    )
    return f"to {best:.2g} of the beginning"


@checks(
    "follows the learning rate that a schedule sets before each step",
    "update: it takes the rate from self._get_lr(index), and all that it does to the weights is in proportion to it",
)
def follows_the_schedule(optimizer: Optimizer) -> str:
    moved = {}
    for factor in (0.01, 1, 2):
        quadratic = _Quadratic(optimizer)
        before = quadratic.weights
        mx.random.seed(1)
        quadratic.step(factor * optimizer.spec.default_learning_rate)
        moved[factor] = sum(float(np.abs(after - b).sum()) for after, b in zip(quadratic.weights, before))
    demand(moved[1] > 0, "the first step does not move the weights")
    # If noise is part of the step, the step is proportional to the square root of the rate.
    for factor, least, most in ((2, 1.3, 3), (0.01, 0, 0.2)):
        ratio = moved[factor] / moved[1]
        problem = f"at {factor} times the learning rate the first step is {ratio:.3g} times as long"
        demand(least <= ratio <= most, problem)
    return f"twice the rate, {moved[2] / moved[1]:.3g} times the step"


@checks(
    "goes on exactly from its saved state",
    "what is kept outside of create_state: it is not saved (but for the number of updates)",
)
def state_is_saved_and_restored(optimizer: Optimizer) -> str:
    rate = 0.01 * optimizer.spec.default_learning_rate
    whole = _Quadratic(optimizer)
    for _ in range(5):
        whole.step(rate)
    resumed = _Quadratic(optimizer, whole.weights)
    resumed.updates.restore(whole.updates.state(), steps=5)
    for step in range(5):
        for quadratic in (whole, resumed):
            mx.random.seed(step)  # as a training does
            quadratic.step(rate)
    for name, expected, found in zip(SHAPES, whole.weights, resumed.weights):
        difference = float(np.abs(expected - found).max())
        demand(difference == 0, f"5 steps after it was restored, {name} differs by {difference:.2g}")
    return ""


@checks(
    "stays finite when gradients are zero, tiny, or clipped", "divisions by a norm or a mean square without epsilon"
)
def stays_finite(optimizer: Optimizer) -> str:
    for scale in (0.0, 1e-30, 1e10):
        quadratic = _Quadratic(optimizer, clip_norm=1.0)
        for _ in range(3):
            quadratic.step(optimizer.spec.default_learning_rate, scale)
        finite = all(np.isfinite(weights).all() for weights in quadratic.weights)
        demand(finite, f"after 3 steps with gradients of a size of {scale:g}, clipped to 1, a weight is not finite")
    return ""


@checks(
    "updates some rows of an embedding as it would among all of them, if it is said to be elementwise",
    "elementwise: an update depends on other weights, as by a norm, or a state is not of the shape of the weights",
)
def rows_are_updated_alike(optimizer: Optimizer) -> str:
    if not optimizer.spec.elementwise:
        return "it is not said to be elementwise"
    rate = 0.01 * optimizer.spec.default_learning_rate
    tokens, size = 6, 3
    whole, read = (_embedding(tokens, size) for _ in range(2))
    rows = EmbeddingRows(read, most=4)
    all_updates = Updates({"weight": whole.weight}, build_optimizer(optimizer, rate), 1.0, optimizer.spec)
    updates = Updates({"weight": read.weight}, build_optimizer(optimizer, rate), 1.0, optimizer.spec, rows=rows)
    for step, read_tokens in enumerate(([0, 2, 2], [2, 3, 5], [0, 1, 4])):
        numbers, _ = rows.places_of(np.array(read_tokens))
        distinct = np.unique(read_tokens)
        gradient = np.random.default_rng(step).normal(size=(len(distinct), size)).astype(np.float32)
        rows.read(numbers)
        rows.parameter.list_grad()[0][:] = 0
        rows.parameter.list_grad()[0][: len(distinct)] = nd.array(gradient)
        mx.random.seed(step)
        updates.step(rate)
        weights, states = whole.weight.data().asnumpy(), all_updates.state()
        whole.weight.list_grad()[0][:] = 0
        whole.weight.list_grad()[0][nd.array(distinct, dtype="int32")] = nd.array(gradient)
        mx.random.seed(step)
        all_updates.step(rate)
        if coasting_rule(all_updates.optimizer) is None:  # what was not read is as it was
            kept = np.setdiff1d(np.arange(tokens), distinct)
            found = {"weights": whole.weight.data().asnumpy(), **all_updates.state()}
            for name, array in {"weights": weights, **states}.items():
                found[name][kept] = array[kept]
            whole.weight.set_data(nd.array(found.pop("weights")))
            all_updates.restore(found, step + 1)
    updates.make_up()
    difference = float(np.abs(whole.weight.data().asnumpy() - read.weight.data().asnumpy()).max())
    problem = f"after 3 steps the weights differ by {difference:.2g} from those that are updated with all others"
    demand(difference < 1e-6, problem)
    return ""


@checks("lets a network learn a small text", "the default learning rate")
def learns(optimizer: Optimizer) -> str:
    return check_learning("optimizer", optimizer)


@checks(
    "resumes: a training that was stopped and resumed equals one that was not, bit for bit",
    "what is kept outside of create_state, and random numbers that are not MXNet's",
)
def resumes(optimizer: Optimizer) -> str:
    return check_resuming("optimizer", optimizer)


def _embedding(tokens: int, size: int) -> EmbeddingInput:
    embedding = EmbeddingInput(tokens, size)
    embedding.initialize(mx.init.Zero(), ctx=mx.cpu())
    embedding.weight.set_data(nd.array(np.random.default_rng(1).normal(size=(tokens, size))))
    return embedding


class _Quadratic:
    """A quadratic loss, half of the sum of ``curvature * weight ** 2``, and the optimizer that descends on it."""

    def __init__(
        self,
        optimizer: Optimizer,
        weights: list[np.ndarray] | None = None,
        clip_norm: float = 0.0,
        device: mx.Context | None = None,
    ) -> None:
        random = np.random.default_rng(1)
        self.parameters = {}
        for number, (name, shape) in enumerate(SHAPES.items()):
            value = random.normal(size=shape) if weights is None else weights[number]
            parameter = gluon.Parameter(name, shape=shape)
            parameter.initialize(mx.init.Zero(), ctx=mx.cpu() if device is None else device)
            parameter.set_data(nd.array(value))
            self.parameters[name] = parameter
        built = build_optimizer(optimizer, optimizer.spec.default_learning_rate)
        self.updates = Updates(self.parameters, built, clip_norm, optimizer.spec)

    @property
    def weights(self) -> list[np.ndarray]:
        return [parameter.data().asnumpy() for parameter in self.parameters.values()]

    @property
    def loss(self) -> float:
        return sum(float((self._curvature(w) * w**2).sum()) / 2 for w in self.weights)

    def step(self, learning_rate: float, scale: float = 1.0) -> None:
        for parameter in self.parameters.values():
            weights = parameter.data().asnumpy()
            gradient = (scale * self._curvature(weights) * weights).astype(np.float32)
            parameter.list_grad()[0][:] = nd.array(gradient)
        self.updates.step(learning_rate)

    @staticmethod
    def _curvature(weights: np.ndarray) -> Any:
        return np.linspace(*CURVATURES, weights.size).reshape(weights.shape)
