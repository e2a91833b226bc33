"""Runs whose texts are made by the layers of the training network, to compare others with."""

from __future__ import annotations

from pathlib import Path

import seqlm_core as seqlm
from seqlm_core.generation.layer_network import LayerNetwork


def run_by_layers(path: Path) -> seqlm.LanguageRun:
    """Open a run whose texts are made by its layers."""
    run = seqlm.LanguageRun(path)
    run.network = LayerNetwork(run.model)
    return run
