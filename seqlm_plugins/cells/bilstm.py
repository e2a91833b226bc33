"""Long short-term memory in both directions (Graves and Schmidhuber 2005)."""

from __future__ import annotations

import seqlm_core as seqlm
from seqlm_plugins.cells import lstm


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec(
        "bilstm",
        "long short-term memory, both directions",
        lstm.build,
        lstm.LSTMOptions,
        bidirectional=True,
        native="lstm",
        default_activation_penalty=1.0,
    )
