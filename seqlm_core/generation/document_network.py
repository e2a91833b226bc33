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
        return self._read(self.inner.read, self.inner.begin, tokens, states)

    def read_right(self, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        return self._read(self.inner.read_right, self.inner.begin_right, tokens, states)

    def _read(self, read: Any, begin: Any, tokens: np.ndarray, states: Any) -> tuple[Any, Any]:
        ended = self.ends[tokens]
        if not ended.any():
            return read(tokens, states)
        afresh = read(tokens, begin(len(tokens)))
        if ended.all():
            return afresh
        going_on = read(tokens, states)
        return self.choose(ended, afresh[0], going_on[0]), self.choose(ended, afresh[1], going_on[1])
