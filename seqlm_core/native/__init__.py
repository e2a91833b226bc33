"""Native code: the parts of seqlm that are written in C++ too. They are used if the libraries could be built."""

from __future__ import annotations

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
"""The formulas of cells that native code computes, by name, and the number of gates of each."""


def layer_shapes(formula: str, units: int, channels: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the parameters of a layer with a formula."""
    rows = GATES[formula] * units
    return {"i2h_weight": (rows, channels), "i2h_bias": (rows,), "h2h_weight": (rows, units), "h2h_bias": (rows,)}
