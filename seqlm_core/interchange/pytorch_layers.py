"""Pieces of the Python module that goes with an exported model: how ``torch.nn`` spells its layers."""

from __future__ import annotations

import re
from collections.abc import Iterable

KINDS = {"rnn_tanh": "nn.RNN", "rnn_relu": "nn.RNN", "gru": "nn.GRU", "lstm": "nn.LSTM"}
PACKING = "pack_padded_sequence, pad_packed_sequence"


def layer(formula: str, channels: int, units: int, bidirectional: bool = False) -> str:
    """Return the call that makes a recurrent layer of one level."""
    relu = ', nonlinearity="relu"' if formula == "rnn_relu" else ""
    return f"{KINDS[formula]}({channels}, {units}{relu}{', bidirectional=True' if bidirectional else ''})"


def layers(formula: str, lowest: int, sizes: Iterable[int], bidirectional: bool = False) -> list[str]:
    """Return the lines within a list of layers on top of each other."""
    found, channels = [], lowest
    for units in sizes:
        found.append(f"    {layer(formula, channels, units, bidirectional)},")
        channels = units * (1 + bidirectional)
    return found


def with_imports(docstring: str, body: str) -> str:
    """Return the text of a module, with the imports of what its body uses."""
    found = [
        "import torch" if re.search(r"(?<!\w)torch\.", body) else "",
        "from safetensors.torch import load_file, save_file",
        "from torch import nn",
        "from torch.nn import functional" if "functional." in body else "",
        f"from torch.nn.utils.rnn import {PACKING}" if "pack_padded_sequence" in body else "",
    ]
    lines = "\n".join(filter(None, found))
    return f"{docstring}\nfrom pathlib import Path\n\n{lines}\n\nHERE = Path(__file__).parent\n{body}"


def indented(lines: Iterable[str], depth: int) -> str:
    """Return lines of code, each with so many levels of four spaces before it."""
    return "\n".join(f"{'    ' * depth}{line}" if line else "" for line in lines)
