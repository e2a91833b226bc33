"""Long short-term memory (Hochreiter and Schmidhuber 1997) with forget gates (Gers et al. 2000).

``c' = s(f) * c + s(i) * tanh(g)``, ``h' = s(o) * tanh(c')``, where ``i f g o`` are ``W x + b + U h + d``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class LSTMOptions:
    forget_bias: float = seqlm.option(1.0, "Initial bias of the forget gate; 1 helps to remember from the start.")


def build(input_size: int, hidden_size: int, options: LSTMOptions) -> Any:
    from seqlm_core.model.initialization import GateBias
    from seqlm_core.model.recurrent_layer import RecurrentLayer

    forget_bias = GateBias(gates=4, gate=1, value=options.forget_bias)
    return RecurrentLayer("lstm", input_size, hidden_size, forget_bias)


def project(weights: Mapping[str, np.ndarray], inputs: np.ndarray, options: LSTMOptions) -> np.ndarray:
    return inputs @ weights["i2h_weight"].T + (weights["i2h_bias"] + weights["h2h_bias"])


def step(
    weights: Mapping[str, np.ndarray], inputs: np.ndarray, states: seqlm.States, options: LSTMOptions
) -> tuple[np.ndarray, seqlm.States]:
    size = weights["h2h_weight"].shape[1]
    hidden, memory = states or (np.zeros((len(inputs), size)), np.zeros((len(inputs), size)))
    gates = inputs + hidden @ weights["h2h_weight"].T
    candidate = np.tanh(gates[:, 2 * size : 3 * size])
    gates = seqlm.sigmoid(gates)
    memory = gates[:, size : 2 * size] * memory + gates[:, :size] * candidate
    hidden = gates[:, 3 * size :] * np.tanh(memory)
    return hidden, (hidden, memory)


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec(
        "lstm", "long short-term memory", build, LSTMOptions, step=step, project=project, native="lstm"
    )
