"""The gated recurrent unit in both directions."""

from __future__ import annotations

import seqlm_core as seqlm
from seqlm_plugins.cells import gru


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec(
        "bigru",
        "gated recurrent unit, both directions",
        gru.build,
        bidirectional=True,
        native="gru",
        default_activation_penalty=0.5,
    )
