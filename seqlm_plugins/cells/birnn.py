"""The simple recurrent network in both directions (Schuster and Paliwal 1997)."""

from __future__ import annotations

import seqlm_core as seqlm
from seqlm_plugins.cells import rnn


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec(
        "birnn",
        "simple recurrent network, both directions",
        rnn.build,
        rnn.RNNOptions,
        bidirectional=True,
        native=rnn.formula,
    )
