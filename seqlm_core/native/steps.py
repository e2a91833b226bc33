"""One time step of each native formula in NumPy, for cells that name a formula and have no step function of their own.

The names of the parameters and the order of the gates are those that :class:`~seqlm_core.plugins.specs.CellSpec`
describes. Every product has a bias of its own.

- ``rnn_tanh`` and ``rnn_relu`` (Elman 1990): ``h' = f(W x + b + U h + d)``.
- ``gru`` (Cho et al. 2014), its reset gate applied after the recurrent product: ``n = tanh(W_n x + r * (U_n h))``,
  ``h' = (1 - z) n + z h``.
- ``lstm`` (Hochreiter and Schmidhuber 1997) with forget gates (Gers et al. 2000): ``c' = s(f) * c + s(i) * tanh(g)``,
  ``h' = s(o) * tanh(c')``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqlm_core.engine.numerics import sigmoid


def project(formula: str, weights: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """Return the linear projection of ``inputs (batch, channels)`` to all gates: ``(batch, gates * hidden)``."""
    if formula == "gru":
        return inputs @ weights["i2h_weight"].T + weights["i2h_bias"]
    return inputs @ weights["i2h_weight"].T + (weights["i2h_bias"] + weights["h2h_bias"])


def step(
    formula: str, weights: Mapping[str, np.ndarray], projected: np.ndarray, states: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return the output ``(batch, hidden)`` and the new states. ``projected`` is the result of :func:`project`."""
    size = weights["h2h_weight"].shape[1]
    if formula == "lstm":
        hidden, memory = states or (np.zeros((len(projected), size)), np.zeros((len(projected), size)))
        gates = projected + hidden @ weights["h2h_weight"].T
        candidate = np.tanh(gates[:, 2 * size : 3 * size])
        gates = sigmoid(gates)
        memory = gates[:, size : 2 * size] * memory + gates[:, :size] * candidate
        hidden = gates[:, 3 * size :] * np.tanh(memory)
        return hidden, (hidden, memory)
    if formula == "gru":
        hidden = states[0] if states else np.zeros((len(projected), size))
        from_hidden = hidden @ weights["h2h_weight"].T + weights["h2h_bias"]
        gates = sigmoid(projected[:, : 2 * size] + from_hidden[:, : 2 * size])
        reset, update = gates[:, :size], gates[:, size:]
        candidate = np.tanh(projected[:, 2 * size :] + reset * from_hidden[:, 2 * size :])
        hidden = candidate + update * (hidden - candidate)
        return hidden, (hidden,)
    total = projected + states[0] @ weights["h2h_weight"].T if states else projected
    hidden = np.tanh(total) if formula == "rnn_tanh" else np.maximum(total, 0)
    return hidden, (hidden,)
