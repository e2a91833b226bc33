"""The training in JAX: one jitted function for a step."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from training_speed.contestant import Peer
from training_speed.model import BETA1, BETA2, EPSILON, LARGEST_NORM, LEARNING_RATE, Model


@dataclasses.dataclass(frozen=True)
class JaxWay:
    """What there is to choose in JAX.

    Attributes:
        unroll: time steps in each turn of the loop over them.
        table: multiply the embedding of each token of the vocabulary by the lowest layer's weights, and not that of
            each time step.
    """

    unroll: int = 1
    table: bool = True


class JaxTraining:
    """The same training in JAX.

    Args:
        model: what to train.
        ids: what to train on.
        way: how.
        weights: to begin with, by seqlm's names.
    """

    def __init__(self, model: Model, ids: np.ndarray, way: JaxWay, weights: dict[str, np.ndarray]) -> None:
        # Matrices lie as they are multiplied with.
        self._weights = {
            name: jnp.asarray(weight.T if name.endswith("weight") and name != "input.weight" else weight)
            for name, weight in weights.items()
        }
        self._moments = [jax.tree_util.tree_map(jnp.zeros_like, self._weights) for _ in range(2)]
        self._windows = [jnp.asarray(window) for window in model.windows(ids)]
        self._window = self._steps = 0
        count = 2 if model.cell == "lstm" else 1
        shape = model.batch, model.units
        self._fresh = lambda: [tuple(jnp.zeros(shape) for _ in range(count)) for _ in range(model.layers)]
        self._states = self._fresh()
        self._step = jax.jit(step_of(model, way), donate_argnums=(0, 1, 2))

    def run(self, steps: int) -> Any:
        """Take so many steps, and return the loss of the last."""
        loss = None
        for _ in range(steps):
            if self._window == len(self._windows):
                self._window, self._states = 0, self._fresh()
            window = self._windows[self._window]
            self._window += 1
            self._steps += 1
            rate = np.float32(LEARNING_RATE * np.sqrt(1 - BETA2**self._steps) / (1 - BETA1**self._steps))
            self._weights, self._moments, self._states, loss = self._step(
                self._weights, self._moments, self._states, window, rate
            )
        return loss.block_until_ready()


def step_of(model: Model, way: JaxWay) -> Any:
    """Return the function of a step: weights, moments, states, window and rate to the first three and the loss."""
    cell = {"rnn": rnn_step, "gru": gru_step, "lstm": lstm_step}[model.cell]

    def loss_of(weights: Any, states: Any, window: Any) -> Any:
        tokens, after = window[:-1], []
        embedding, hidden = weights["input.weight"], None
        for layer in range(model.layers):
            names = ("i2h_weight", "h2h_weight", "i2h_bias", "h2h_bias")
            to_input, to_hidden, input_bias, hidden_bias = (weights[f"forward_stack.{layer}.{n}"] for n in names)
            if layer:
                read = hidden @ to_input + input_bias
            elif way.table:
                read = (embedding @ to_input + input_bias)[tokens]
            else:
                read = embedding[tokens] @ to_input + input_bias
            state, hidden = lax.scan(
                lambda state, x, to_hidden=to_hidden, bias=hidden_bias: cell(state, x, state[0] @ to_hidden + bias),
                states[layer],
                read,
                unroll=way.unroll,
            )
            after.append(state)
        scores = hidden @ weights["head.weight"] + weights["head.bias"]
        chosen = jnp.take_along_axis(scores, window[1:, :, None], axis=-1)[..., 0]
        return jnp.mean(jax.nn.logsumexp(scores, axis=-1) - chosen), after

    def step(weights: Any, moments: Any, states: Any, window: Any, rate: Any) -> Any:
        (loss, after), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights, states, window)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in gradients.values()))
        factor = jnp.minimum(1.0, LARGEST_NORM / (norm + 1e-6))
        means, squares = {}, {}
        for name, gradient in gradients.items():
            g = gradient * factor
            means[name] = BETA1 * moments[0][name] + (1 - BETA1) * g
            squares[name] = BETA2 * moments[1][name] + (1 - BETA2) * g * g
            weights[name] = weights[name] - rate * means[name] / (jnp.sqrt(squares[name]) + EPSILON)
        return weights, [means, squares], after, loss

    return step


def rnn_step(state: Any, read: Any, from_hidden: Any) -> Any:
    hidden = jnp.tanh(read + from_hidden)
    return (hidden,), hidden


def gru_step(state: Any, read: Any, from_hidden: Any) -> Any:
    (before,) = state
    reset_in, update_in, candidate_in = jnp.split(read, 3, axis=-1)
    reset_from, update_from, candidate_from = jnp.split(from_hidden, 3, axis=-1)
    reset = jax.nn.sigmoid(reset_in + reset_from)
    update = jax.nn.sigmoid(update_in + update_from)
    candidate = jnp.tanh(candidate_in + reset * candidate_from)
    hidden = candidate + update * (before - candidate)
    return (hidden,), hidden


def lstm_step(state: Any, read: Any, from_hidden: Any) -> Any:
    _, memory = state
    enter, forget, candidate, leave = jnp.split(read + from_hidden, 4, axis=-1)
    memory = jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
    hidden = jax.nn.sigmoid(leave) * jnp.tanh(memory)
    return (hidden, memory), hidden


class JaxContestant(Peer):
    """Trains with JAX."""

    new_training = JaxTraining

    def versions(self) -> dict[str, str]:
        return {"JAX": jax.__version__}

    def ways(self, model: Model) -> list[JaxWay]:
        # With a larger vocabulary than there are predictions a table takes longer.
        table = model.vocabulary <= model.tokens
        return [JaxWay(1, table), JaxWay(5, table)]
