"""A state dict of PyTorch read by NumPy, by the formulas in the documentation of ``torch.nn``.

``RNN``: ``h' = f(W_ih x + b_ih + W_hh h + b_hh)``. The gates of ``LSTM`` are in the order i f g o, those of ``GRU`` in
the order r z n. ``Linear``: ``W x + b``.
"""

from __future__ import annotations

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gates_of(weights, layer, x, h, suffix):
    def part(name):
        return weights[f"{layer}.{name}_l0{suffix}"].astype(float)

    return part("weight_ih") @ x + part("bias_ih"), part("weight_hh") @ h + part("bias_hh")


def step(kind, weights, layer, x, state, suffix=""):
    """Return the new state ``(h,)`` or ``(h, c)`` of a layer after one time step; the first is its output."""
    from_input, from_hidden = gates_of(weights, layer, x, state[0], suffix)
    if kind == "lstm":
        i, f, g, o = np.split(from_input + from_hidden, 4)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if kind == "gru":
        (r, z, n), (hr, hz, hn) = np.split(from_input, 3), np.split(from_hidden, 3)
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        n = np.tanh(n + r * hn)
        return ((1 - z) * n + z * state[0],)
    total = from_input + from_hidden
    return (np.maximum(total, 0) if kind == "relu" else np.tanh(total),)


def read_layer(kind, weights, layer, rows, suffix=""):
    """Return the outputs ``(time, units)`` of a layer that begins with a state of 0."""
    units = weights[f"{layer}.weight_hh_l0{suffix}"].shape[1]
    state, found = (np.zeros(units), np.zeros(units)), []
    for row in rows:
        state = step(kind, weights, layer, row, state, suffix)
        found.append(state[0])
    return np.stack(found)


def linear(weights, name, x):
    return x @ weights[f"{name}.weight"].astype(float).T + weights[f"{name}.bias"]


def log_softmax(z):
    return z - z.max(-1, keepdims=True) - np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True))


def predictions(a, weights, hidden):
    """Return log-probabilities for what the layers make; ``a`` are the sizes of the model, which say what there is."""
    if "projection.weight" in weights:
        hidden = linear(weights, "projection", hidden)
    if not a.cutoffs:
        if a.tie_weights:
            return log_softmax(hidden @ weights["embedding.weight"].T + weights["output_bias"])
        return log_softmax(linear(weights, "output", hidden))
    embedding = weights.get("embedding.weight")
    bounds = [*a.cutoffs, a.vocabulary_size]
    if a.tie_weights:
        rows = np.concatenate([embedding[: bounds[0]], weights["cluster_weight"]])
        first = log_softmax(hidden @ rows.T + weights["output_bias"])
    else:
        first = log_softmax(linear(weights, "output", hidden))
    parts = [first[..., : bounds[0]]]
    for k in range(len(a.cutoffs)):
        within = (
            hidden @ embedding[bounds[k] : bounds[k + 1]].T + weights[f"cluster_biases.{k}"]
            if a.tie_weights
            else linear(weights, f"clusters.{k}.1", linear(weights, f"clusters.{k}.0", hidden))
        )
        parts.append(first[..., bounds[0] + k, None] + log_softmax(within))
    return np.concatenate(parts, -1)


def read_tokens(kind, a, weights, ids, stack="layers"):
    """Return what the last layer makes of ids ``(time,)``."""
    rows = weights["embedding.weight"][ids] if a.embedding_size else np.eye(a.vocabulary_size)[ids]
    for number in range(a.layers):
        rows = read_layer(kind, weights, f"{stack}.{number}", rows)
    return rows


def left_to_right(kind, a, weights, ids):
    """Return log-probabilities of the token after each of ids ``(time,)``."""
    rows = read_tokens(kind, a, weights, ids)
    if a.head_size > rows.shape[1]:
        rows = np.concatenate([rows, np.zeros_like(rows)], axis=1)
    return predictions(a, weights, rows)


def both_sides(kind, a, weights, ids):
    """Return log-probabilities of all ids but the first, from those on both sides of each."""
    left = read_tokens(kind, a, weights, ids)[:-1]
    right = read_tokens(kind, a, weights, ids[::-1], "backward_layers")[::-1][2:]
    right = np.concatenate([right, np.zeros_like(left[:1])])
    joined = left + right if a.adds_directions else np.concatenate([left, right], axis=1)
    return predictions(a, weights, joined)
