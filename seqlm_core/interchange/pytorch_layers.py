"""Pieces of the Python module that goes with an exported model: how ``torch.nn`` spells its layers."""

from __future__ import annotations

from collections.abc import Iterable

KINDS = {"rnn_tanh": "nn.RNN", "rnn_relu": "nn.RNN", "gru": "nn.GRU", "lstm": "nn.LSTM"}


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


def indented(lines: Iterable[str], depth: int) -> str:
    """Return lines of code, each with so many levels of four spaces before it."""
    return "\n".join(f"{'    ' * depth}{line}" if line else "" for line in lines)
