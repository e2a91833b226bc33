"""A language model in plain NumPy, written from the formulas, to check the product against.

Nothing here is shared with the product. Arrays may be complex, so that derivatives can be taken with a complex step:
``f'(x) = Im f(x + ih) / h``, exact to rounding because nothing is subtracted (Squire and Trapp 1998).
"""

from __future__ import annotations

import numpy as np

STEP = 1e-30


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def rnn_step(w, x, h):
    return np.tanh(w["i2h_weight"] @ x + w["i2h_bias"] + w["h2h_weight"] @ h + w["h2h_bias"])


def gru_step(w, x, h):
    wr, wz, wn = np.split(w["i2h_weight"], 3)
    ur, uz, un = np.split(w["h2h_weight"], 3)
    br, bz, bn = np.split(w["i2h_bias"], 3)
    cr, cz, cn = np.split(w["h2h_bias"], 3)
    r = sigmoid(wr @ x + br + ur @ h + cr)
    z = sigmoid(wz @ x + bz + uz @ h + cz)
    n = np.tanh(wn @ x + bn + r * (un @ h + cn))
    return (1 - z) * n + z * h


def lstm_step(w, x, state):
    h, c = state
    wi, wf, wg, wo = np.split(w["i2h_weight"], 4)
    ui, uf, ug, uo = np.split(w["h2h_weight"], 4)
    b = np.split(w["i2h_bias"] + w["h2h_bias"], 4)
    i = sigmoid(wi @ x + ui @ h + b[0])
    f = sigmoid(wf @ x + uf @ h + b[1])
    g = np.tanh(wg @ x + ug @ h + b[2])
    o = sigmoid(wo @ x + uo @ h + b[3])
    c = f * c + i * g
    return o * np.tanh(c), c


class ReferenceModel:
    """Losses of one sequence at a time; ``weights`` has the product's parameter names."""

    def __init__(self, kind, architecture, weights):
        self.kind = kind.replace("bi", "")
        self.a = architecture
        self.weights = weights

    def begin(self):
        zeros = [np.zeros(self.weights[f"forward_stack.{k}.h2h_weight"].shape[1]) for k in range(self.a.layers)]
        return [(z, z) if self.kind == "lstm" else z for z in zeros]

    def read(self, direction, tokens, states):
        """Return the top layer's hidden vectors and the states after the tokens."""
        hidden = []
        for token in tokens:
            x = (self.weights["input.weight"] if self.a.embedding_size else np.eye(self.a.vocabulary_size))[token]
            states = list(states)
            for layer in range(self.a.layers):
                prefix = f"{direction}_stack.{layer}."
                w = {n[len(prefix) :]: v for n, v in self.weights.items() if n.startswith(prefix)}
                if self.kind == "lstm":
                    states[layer] = lstm_step(w, x, states[layer])
                    x = states[layer][0]
                else:
                    states[layer] = (rnn_step if self.kind == "rnn" else gru_step)(w, x, states[layer])
                    x = states[layer]
            hidden.append(x)
        return hidden, states

    def log_probabilities(self, left, right=None):
        """Return those of the next token, from the hidden vectors of one or both sides."""
        w, size = self.weights, len(left)
        offset = w["head.bias"]
        if not self.a.tie_weights:
            w_left, w_right = w["head.weight"][:, :size], w["head.weight"][:, size:]
        elif w["input.weight"].shape[1] == size:
            w_left = w_right = w["input.weight"]
        else:
            whole = w["input.weight"] @ w["head.projection_weight"]
            w_left, w_right = whole[:, :size], whole[:, size:]
            offset = offset + w["input.weight"] @ w["head.projection_bias"]
        scores = w_left @ left + offset
        if right is not None:
            scores = scores + w_right @ right
        scores = scores - scores.real.max()
        return scores - np.log(np.exp(scores).sum())

    def window_losses(self, tokens, states=None, visible=None):
        """Return the loss of each prediction in a window, as in training, and the states after it."""
        left, states = self.read("forward", tokens[:-1], states or self.begin())
        losses = []
        for t in range(len(tokens) - 1):
            right = None
            if visible is not None and visible[t] and t + 2 < len(tokens):
                right = self.read("backward", tokens[t + 2 :][::-1], self.begin())[0][-1]
            losses.append(-self.log_probabilities(left[t], right)[tokens[t + 1]])
        return np.array(losses), states


def complex_step_gradients(weights, loss):
    """Return the derivatives of ``loss(weights)`` with respect to every element of every array."""
    gradients = {}
    for name, array in weights.items():
        gradient = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            moved = array.astype(complex)
            moved[index] += 1j * STEP
            gradient[index] = np.imag(loss({**weights, name: moved})) / STEP
        gradients[name] = gradient
    return gradients
