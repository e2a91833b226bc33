"""Long short-term memory (Hochreiter and Schmidhuber 1997) with forget gates (Gers et al. 2000).

``c' = s(f) * c + s(i) * tanh(g)``, ``h' = s(o) * tanh(c')``, where ``i f g o`` are ``W x + b + U h + d``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class LSTMOptions:
    forget_bias: float = seqlm.option(1.0, "Initial bias of the forget gate. With 1 the cell remembers from the start.")


def build(input_size: int, hidden_size: int, options: LSTMOptions) -> Any:
    forget_bias = seqlm.GateBias(gates=4, gate=1, value=options.forget_bias)
    return seqlm.RecurrentLayer("lstm", input_size, hidden_size, forget_bias)


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec(
        "lstm", "long short-term memory", build, LSTMOptions, native="lstm", default_activation_penalty=1.0
    )
