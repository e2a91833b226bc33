"""The training in Keras on TensorFlow: Keras' layers and Adam, and one compiled function for a step."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training_speed.contestant import Peer
from training_speed.model import BETA1, BETA2, EPSILON, LARGEST_NORM, LEARNING_RATE, Model


@dataclasses.dataclass(frozen=True)
class KerasWay:
    """What there is to choose in Keras.

    Attributes:
        compiled: by XLA (``jit_compile``), or as a graph of TensorFlow's.
        unroll: all time steps one after the other in the graph, or a loop over them.
    """

    compiled: bool = True
    unroll: bool = False


class KerasTraining:
    """The same training in Keras. Its LSTM and simple RNN have one bias, where the others have two.

    Args:
        model: what to train.
        ids: what to train on.
        way: how.
        weights: to begin with, by seqlm's names.
    """

    def __init__(self, model: Model, ids: np.ndarray, way: KerasWay, weights: dict[str, np.ndarray]) -> None:
        layers = keras.layers
        kind = {"rnn": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}[model.cell]
        shape = model.batch, model.time
        embedding = layers.Embedding(model.vocabulary, model.units)
        stack = [
            kind(model.units, return_sequences=True, return_state=True, unroll=way.unroll) for _ in range(model.layers)
        ]
        head = layers.Dense(model.vocabulary)
        for layer in (embedding, head, *stack):
            layer.build((*shape, model.units) if layer is not embedding else shape)
        embedding.set_weights([weights["input.weight"]])
        head.set_weights([weights["head.weight"].T, weights["head.bias"]])
        for index, layer in enumerate(stack):
            layer.set_weights(as_in_keras(weights, f"forward_stack.{index}", model.cell))
        variables = [variable for layer in (embedding, *stack, head) for variable in layer.trainable_variables]
        self._optimizer = keras.optimizers.Adam(LEARNING_RATE, BETA1, BETA2, EPSILON, global_clipnorm=LARGEST_NORM)
        self._optimizer.build(variables)
        self._windows = [tf.constant(window.T) for window in model.windows(ids)]
        self._window = 0
        states = 2 if model.cell == "lstm" else 1
        fresh = tf.zeros((model.batch, model.units))
        self._fresh = [[fresh] * states] * model.layers
        self._states = self._fresh

        @tf.function(jit_compile=way.compiled)
        def step(window: Any, states: Any) -> Any:
            with tf.GradientTape() as tape:
                hidden, after = embedding(window[:, :-1]), []
                for layer, state in zip(stack, states):
                    hidden, *state = layer(hidden, initial_state=state)
                    after.append(state)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(window[:, 1:], head(hidden))
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            self._optimizer.apply(gradients, variables)
            return loss, after

        self._step = step

    def run(self, steps: int) -> Any:
        """Take so many steps, and return the loss of the last."""
        loss = None
        for _ in range(steps):
            if self._window == len(self._windows):
                self._window, self._states = 0, self._fresh
            window = self._windows[self._window]
            self._window += 1
            loss, self._states = self._step(window, self._states)
        return loss.numpy()


def as_in_keras(weights: dict[str, np.ndarray], layer: str, cell: str) -> list[np.ndarray]:
    """Return the weights of a layer in Keras' shapes and order of gates."""
    names = ("i2h_weight", "h2h_weight", "i2h_bias", "h2h_bias")
    to_input, to_hidden, input_bias, hidden_bias = (weights[f"{layer}.{name}"] for name in names)
    if cell != "gru":
        return [to_input.T, to_hidden.T, input_bias + hidden_bias]
    reset_and_update = [1, 0, 2]

    def in_order(array: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(array, 3)[gate] for gate in reset_and_update])

    biases = np.stack([in_order(input_bias), in_order(hidden_bias)])
    return [in_order(to_input).T, in_order(to_hidden).T, biases]


class KerasContestant(Peer):
    """Trains with Keras."""

    new_training = KerasTraining

    def __init__(self, threads: int) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)

    def versions(self) -> dict[str, str]:
        return {"Keras": keras.__version__, "TensorFlow": tf.__version__}

    def tolerance(self) -> float:
        return 0.05  # one bias moves half as far as two

    def ways(self, model: Model) -> list[KerasWay]:
        # XLA takes minutes to compile a loop that is unrolled.
        return [KerasWay(True, False), KerasWay(False, False), KerasWay(False, True)]
