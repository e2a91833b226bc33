"""The gated recurrent unit (Cho et al. 2014), its reset gate applied after the recurrent product.

``r = s(W_r x + U_r h)``, ``z = s(W_z x + U_z h)``, ``n = tanh(W_n x + r * (U_n h))``, ``h' = (1 - z) n + z h``. Each
product has a bias of its own.
"""

from __future__ import annotations

from typing import Any

import seqlm_core as seqlm


def build(input_size: int, hidden_size: int, options: seqlm.NoOptions) -> Any:
    return seqlm.RecurrentLayer("gru", input_size, hidden_size)


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec("gru", "gated recurrent unit", build, native="gru", default_activation_penalty=0.5)
