"""The gated recurrent unit (Cho et al. 2014), its reset gate applied after the recurrent product.

``r = s(W_r x + U_r h)``, ``z = s(W_z x + U_z h)``, ``n = tanh(W_n x + r * (U_n h))``, ``h' = (1 - z) n + z h``, each
product with a bias of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import seqlm_core as seqlm


def build(input_size: int, hidden_size: int, options: seqlm.NoOptions) -> Any:
    from seqlm_core.model.recurrent_layer import RecurrentLayer

    return RecurrentLayer("gru", input_size, hidden_size)


def project(weights: Mapping[str, np.ndarray], inputs: np.ndarray, options: seqlm.NoOptions) -> np.ndarray:
    return inputs @ weights["i2h_weight"].T + weights["i2h_bias"]


def step(
    weights: Mapping[str, np.ndarray], inputs: np.ndarray, states: seqlm.States, options: seqlm.NoOptions
) -> tuple[np.ndarray, seqlm.States]:
    size = weights["h2h_weight"].shape[1]
    hidden = states[0] if states else np.zeros((len(inputs), size))
    from_hidden = hidden @ weights["h2h_weight"].T + weights["h2h_bias"]
    gates = seqlm.sigmoid(inputs[:, : 2 * size] + from_hidden[:, : 2 * size])
    reset, update = gates[:, :size], gates[:, size:]
    candidate = np.tanh(inputs[:, 2 * size :] + reset * from_hidden[:, 2 * size :])
    hidden = candidate + update * (hidden - candidate)
    return hidden, (hidden,)


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec("gru", "gated recurrent unit", build, step=step, project=project, native="gru")
