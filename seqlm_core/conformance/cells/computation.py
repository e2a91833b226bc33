"""Checks that a cell's graphs and gradients are right."""

from __future__ import annotations

import numpy as np

from seqlm_core.conformance.check import Checks, demand
from seqlm_core.conformance.small_models import (
    BATCH,
    TIME,
    Cell,
    compared,
    loss_of,
    runs_in_float64,
    small_model,
    some_tokens,
)
from seqlm_core.engine.mxnet import autograd, nd
from seqlm_core.model.graphs import LeftReading
from seqlm_core.model.initialization import unique_parameters

checks = Checks()


@checks(
    "computes the same whether it is hybridized or not",
    "hybrid_forward: what it does with F, and Python values that it keeps between calls",
)
def hybridized_equals_imperative(cell: Cell) -> str:
    model = small_model(cell, layers=2)
    tokens = some_tokens(TIME, BATCH)
    graph, _ = LeftReading(model, TIME)(tokens, model.begin_state(BATCH))
    model.hybridize(False)
    imperative, _ = model.read_left(tokens, model.begin_state(BATCH), TIME)
    return compared(graph, imperative, "outputs differ by {}")


@checks(
    "has gradients that agree with finite differences, for every parameter of 1 to 3 layers",
    "operations of the layer with wrong gradients (stop_gradient, custom operators), and unused parameters",
)
def gradients_are_right(cell: Cell) -> str:
    largest = 0.0
    exact = runs_in_float64(cell)
    step, tolerance = (1e-6, 1e-5) if exact else (1e-2, 3e-2)
    for layers in (1, 2, 3):
        model = small_model(cell, layers=layers)
        if exact:
            model.cast("float64")
        random = np.random.default_rng(layers)
        loss = loss_of(model)
        with autograd.record():
            value = loss()
        value.backward()
        for name, parameter in unique_parameters(model).items():
            weights = parameter.data().asnumpy()
            direction = random.normal(size=weights.shape) / np.sqrt(weights.size)
            by_gradient = float((parameter.grad().asnumpy() * direction).sum())
            losses = []
            for sign in (1, -1):
                parameter.set_data(nd.array(weights + sign * step * direction, dtype=weights.dtype))
                losses.append(float(loss().asscalar()))
            parameter.set_data(nd.array(weights, dtype=weights.dtype))
            by_difference = (losses[0] - losses[1]) / (2 * step)
            error = abs(by_gradient - by_difference) / max(abs(by_gradient), abs(by_difference), 1e-2)
            largest = max(largest, error)
            demand(
                error < tolerance,
                f"{layers} layers: along a random direction the gradient of {name} gives {by_gradient:.6g}, and finite "
                f"differences give {by_difference:.6g}",
            )
            demand(
                np.abs(parameter.grad().asnumpy()).max() > 0,
                f"{layers} layers: the loss does not depend on parameter {name}",
            )
    return f"largest relative error {largest:.1g}{'' if exact else ', in float32, as it does not run in float64'}"
