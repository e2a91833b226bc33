"""A network that begins afresh with each document."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.generation.network import TextNetwork
from seqlm_core.reading.documents import Documents


def document_network(network: TextNetwork, documents: Documents | None) -> TextNetwork:
    """Return a network that resets its states at the end of a document, if a token ends one."""
    if documents is None or documents.ends is None:
        return network
    return DocumentNetwork(network, documents.ends)


class DocumentNetwork:
    """A :class:`~seqlm_core.generation.network.TextNetwork` that reads tokens which end documents with fresh states.

    Args:
        network: reads the tokens.
        ends: whether each token ends a document, bool ``(vocabulary,)``.
    """

    def __init__(self, network: TextNetwork, ends: np.ndarray) -> None:
        self.inner = network
        self.bidirectional = network.bidirectional
        self.begin = network.begin
        self.begin_right = network.begin_right
        self.log_probabilities = network.log_probabilities
        self.select = network.select
        self.choose = network.choose
        self.ends = ends

    def read(self, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        return self._read(self.inner.read, self.begin, tokens, states)

    def read_right(self, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        return self._read(self.inner.read_right, self.begin_right, tokens, states)

    def _read(self, read: Any, begin: Any, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        network, rows = self.inner, self.ends[tokens]
        if not rows.any():
            return read(tokens, states)
        if rows.all():
            return read(tokens, begin(len(tokens)))
        afresh = read(tokens[rows], begin(int(rows.sum())))
        going_on = read(tokens[~rows], network.select(states, np.flatnonzero(~rows)))
        # Each row's place among those that were read like it; any place will do for the others.
        places = np.where(rows, np.cumsum(rows), np.cumsum(~rows)) - 1
        of_afresh, of_going_on = np.where(rows, places, 0), np.where(rows, 0, places)
        return tuple(
            network.choose(rows, network.select(these, of_afresh), network.select(others, of_going_on))
            for these, others in zip(afresh, going_on)
        )
