"""The simple recurrent network (Elman 1990): ``h' = f(W x + b + U h + c)``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class RNNOptions:
    activation: Literal["tanh", "relu"] = seqlm.option("tanh", "What f is.")


def kernel(options: RNNOptions) -> str:
    return f"rnn_{options.activation}"


def build(input_size: int, hidden_size: int, options: RNNOptions) -> Any:
    from seqlm_core.model.recurrent_layer import RecurrentLayer

    return RecurrentLayer(kernel(options), input_size, hidden_size)


def project(weights: Mapping[str, np.ndarray], inputs: np.ndarray, options: RNNOptions) -> np.ndarray:
    return inputs @ weights["i2h_weight"].T + (weights["i2h_bias"] + weights["h2h_bias"])


def step(
    weights: Mapping[str, np.ndarray], inputs: np.ndarray, states: seqlm.States, options: RNNOptions
) -> tuple[np.ndarray, seqlm.States]:
    total = inputs + states[0] @ weights["h2h_weight"].T if states else inputs
    hidden = np.tanh(total) if options.activation == "tanh" else np.maximum(total, 0)
    return hidden, (hidden,)


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec(
        "rnn", "simple recurrent network", build, RNNOptions, step=step, project=project, native=kernel
    )
