"""The simple recurrent network (Elman 1990): ``h' = f(W x + b + U h + c)``."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class RNNOptions:
    activation: Literal["tanh", "relu"] = seqlm.option("tanh", "Activation function f.")


def formula(options: RNNOptions) -> str:
    return f"rnn_{options.activation}"


def build(input_size: int, hidden_size: int, options: RNNOptions) -> Any:
    return seqlm.RecurrentLayer(formula(options), input_size, hidden_size)


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec("rnn", "simple recurrent network", build, RNNOptions, native=formula)
