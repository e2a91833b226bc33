"""Checks of a cell's layers: their shapes, and that they are the same whenever they are built and called."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.conformance.check import Checks, demand
from seqlm_core.conformance.small_models import (
    BATCH,
    EMBEDDING,
    HIDDEN,
    ROUNDING,
    TIME,
    Cell,
    initial_model,
    small_model,
    some_tokens,
)
from seqlm_core.engine.mxnet import mx
from seqlm_core.generation.layer_network import LayerNetwork
from seqlm_core.model.build import check_cells_work, weights_of
from seqlm_core.model.graphs import LeftReading
from seqlm_core.model.initialization import initialize

checks = Checks()


@checks(
    "builds layers that map (time, batch, channels) to (time, batch, units)",
    "what build(input_size, hidden_size, options) returns, and the shapes of its parameters and states",
)
def layers_have_the_right_shapes(cell: Cell) -> str:
    for input_size, hidden_size in ((EMBEDDING, HIDDEN), (1, 1), (HIDDEN, HIDDEN), (HIDDEN, EMBEDDING)):
        model = small_model(cell, embedding_size=input_size, hidden_size=hidden_size)
        check_cells_work(model, {"": cell.spec.name})
        for batch in (1, BATCH):
            hidden, states = LeftReading(model, TIME)(some_tokens(TIME, batch), model.begin_state(batch))
            demand(
                hidden.shape == (TIME, batch, hidden_size),
                f"outputs have shape {hidden.shape} instead of {(TIME, batch, hidden_size)}",
            )
            demand(hidden.dtype == np.float32, f"outputs are {np.dtype(hidden.dtype)} instead of float32")
            for state in (state for layer in states for state in layer):
                demand(
                    state.shape[0] == batch,
                    f"a state has shape {state.shape}, and its first axis must be batch, {batch}",
                )
    return ""


@checks(
    "computes on the device that it is given, which may be a GPU",
    "begin_state, which is given the device as ctx, and arrays that the layer makes itself",
)
def layers_compute_on_the_given_device(cell: Cell) -> str:
    model = initial_model(cell)
    initialize(model, 1, mx.cpu(1))  # which MXNet keeps apart from cpu(0), as it does a GPU
    check_cells_work(model, {"": cell.spec.name})
    return ""


@checks(
    "has the same weights whenever it is built from the same seed",
    "initializers that draw from NumPy's or Python's random numbers; MXNet's are seeded",
)
def the_seed_decides_the_weights(cell: Cell) -> str:
    first, second, other = (weights_of(initial_model(cell, seed=seed)) for seed in (1, 1, 2))
    for name, array in first.items():
        demand(np.array_equal(array, second[name]), f"parameter {name} differs between two models of the same seed")
    of_layers = [name for name in first if name.startswith("forward_stack.")]
    demand(
        not of_layers or any(not np.array_equal(first[name], other[name]) for name in of_layers),
        "no parameter of the layer differs between two models of different seeds",
    )
    return ""


@checks(
    "gives the same figures at every call: while figures are computed, nothing is drawn and nothing drops out",
    "dropout outside of MXNet's training mode, such as F.Dropout with mode='always', and other random numbers",
)
def figures_repeat(cell: Cell) -> str:
    model = small_model(cell, layers=2)
    tokens = some_tokens(TIME, BATCH)
    readings: dict[str, Any] = {
        "the layer in windows": LeftReading(model, TIME),
        "the layer step by step": LayerNetwork(model),
    }

    def outputs(name: str) -> np.ndarray:
        reading = readings[name]
        if isinstance(reading, LayerNetwork):
            states, steps = reading.begin(BATCH), []
            for token in tokens.asnumpy():
                hidden, states = reading.read(token, states)
                steps.append(hidden.asnumpy())
            return np.concatenate(steps)
        with model.repeatable():
            return reading(tokens, model.begin_state(BATCH))[0].asnumpy()

    for name in readings:
        first, *others = (outputs(name) for _ in range(3))
        moved = max(float(np.abs(other - first).max()) for other in others)
        demand(
            moved < ROUNDING,
            f"outputs of {name} differ by {moved:.2g} from call to call: something is drawn, or drops out, while "
            "figures are computed",
        )
    return ""
