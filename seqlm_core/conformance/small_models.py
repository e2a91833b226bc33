"""Small models with a cell, and functions that the checks of cells use on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.conformance.check import demand
from seqlm_core.engine.mxnet import autograd, mx, nd
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network
from seqlm_core.model.graphs import LeftReading, RightReading, WindowLoss
from seqlm_core.model.initialization import initialize, unique_parameters
from seqlm_core.model.language_network import LanguageNetwork
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.specs import CellSpec

Cell = Component[CellSpec]

VOCABULARY, EMBEDDING, HIDDEN = 7, 4, 5
TIME, BATCH = 6, 3
TOLERANCE = 1e-5
"""The largest difference between two ways to compute the same in float32."""
ROUNDING = 1e-6
"""The largest difference between two calls of the same computation. Rounding depends on where arrays lie in memory."""


def small_model(
    cell: Cell, layers: int = 1, embedding_size: int = EMBEDDING, hidden_size: int = HIDDEN
) -> LanguageNetwork:
    """Return a model with moved weights. None is zero, so that it shows if the cell leaves out a parameter."""
    model = initial_model(cell, layers, embedding_size, hidden_size)
    random = np.random.default_rng(1)
    for parameter in unique_parameters(model).values():
        moves = nd.array(random.normal(scale=0.1, size=parameter.shape), dtype=parameter.dtype)
        if parameter.grad_req != "null":
            parameter.set_data(parameter.data() + moves)
    return model


def initial_model(
    cell: Cell, layers: int = 1, embedding_size: int = EMBEDDING, hidden_size: int = HIDDEN, seed: int = 1
) -> LanguageNetwork:
    """Return a model with its initial weights."""
    architecture = LanguageArchitecture(
        VOCABULARY, hidden_size, layers, embedding_size, cell.spec.bidirectional, tie_weights=False
    )
    model = build_language_network(architecture, cell)
    initialize(model, seed, mx.cpu())
    return model


def some_tokens(time: int, batch: int) -> Any:
    """Return token ids ``(time, batch)``, the same at every call."""
    return nd.array(np.random.default_rng(7).integers(0, VOCABULARY, (time, batch)), dtype="int32")


def with_another_token(tokens: np.ndarray, position: int) -> np.ndarray:
    """Return the tokens with another one at a position."""
    changed = tokens.copy()
    changed[position] = (changed[position] + 1) % VOCABULARY
    return changed


def predictions_of(model: LanguageNetwork, tokens: np.ndarray) -> np.ndarray:
    """Return log-probabilities ``(time, batch, vocabulary)``. Bidirectional models read the context on both sides."""
    read = nd.array(tokens, dtype="int32")
    left, _ = LeftReading(model, len(tokens) - 1)(read[:-1], model.begin_state(tokens.shape[1]))
    right = None
    if model.backward_stack is not None:
        reading = RightReading(model, len(tokens) - 2)
        from_right, _ = reading(read[2:].flip(axis=0), model.begin_backward_state(tokens.shape[1]))
        right = nd.concat(from_right.flip(axis=0), nd.zeros_like(left[:1]), dim=0)
    return model.head.log_probabilities(model.combine(nd, left, right)).asnumpy()


def loss_of(model: LanguageNetwork) -> Any:
    """Return a function that computes the model's mean loss on a window."""
    graph = WindowLoss(model, TIME)
    tokens = nd.array(some_tokens(TIME + 1, BATCH), dtype="int32")
    both = model.backward_stack is not None
    following = tokens[2:].flip(axis=0) if both else None
    visible = nd.ones((TIME, BATCH, 1), dtype=model.dtype) if both else None

    def loss() -> Any:
        mx.random.seed(1)  # for layers that draw MXNet's random numbers in training
        with autograd.train_mode():
            states, backward_states = model.begin_state(BATCH), model.begin_backward_state(BATCH)
            losses, _ = graph(tokens[:-1], tokens[1:], states, None, following, backward_states, None, visible)
            return losses.mean()

    return loss


def runs_in_float64(cell: Cell) -> bool:
    """Return whether the cell's layers compute in float64 after ``cast``."""
    model = small_model(cell)
    try:
        model.cast("float64")
        return bool(loss_of(model)().dtype == np.float64)
    except Exception:
        return False


def compared(found: Any, wanted: Any, problem: str) -> str:
    """Return the largest difference of two arrays in words. Raise :class:`CheckFailure` if it is too large."""
    arrays = [array.asnumpy() if hasattr(array, "asnumpy") else array for array in (found, wanted)]
    difference = float(np.abs(arrays[0] - arrays[1]).max())
    demand(difference < TOLERANCE, problem.format(f"{difference:.2g}"))
    return f"{difference:.1g}"
