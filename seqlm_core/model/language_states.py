"""What a language model over characters knows at the borders of tokens, as vectors of these tokens."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.model.window_network import WindowNetwork
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.sequences.given_vectors import GivenVectors

WINDOW = 64
"""The number of characters that are read in one go."""
SIDE_BY_SIDE = 64
"""The most sequences that are read side by side."""
MOST_IN_MEMORY = 1 << 26
"""Larger tables, in bytes, are in a temporary file that is mapped into memory."""


class Spelt(NamedTuple):
    """A sequence as a text: its tokens with a space between them, between two line feeds.

    Attributes:
        ids: the ids of its characters.
        first: the place of the first character of each token.
        last: that of the last one.
    """

    ids: np.ndarray
    first: np.ndarray
    last: np.ndarray


class LanguageStates:
    """Gives each token the hidden vectors of a language model at its borders (Akbik et al. 2018).

    They are those of the top layer: of the forward direction after the token's last character and, if there is a
    backward direction, of that one after the token's first. So each has read a whole side of the sequence, and the
    token. They are scaled so that the mean square of the numbers of a token is 1.

    Args:
        network: the language model, which is given any number of rows.
        vocabulary: its vocabulary, of characters.
        path: the directory of its run.
        digest: the digest of its weights.

    Attributes:
        size: the length of the vectors.
        described: what a run records of the source.
    """

    def __init__(self, network: WindowNetwork, vocabulary: Vocabulary, path: str, digest: str) -> None:
        self.described = {"language_model": {"path": path, "digest": digest}}
        self._network = network
        self._vocabulary = vocabulary
        self._hidden = network.architecture.hidden_sizes[-1]
        self.size = self._hidden * (2 if network.architecture.bidirectional else 1)

    def of(self, sequences: Sequence[Sequence[str]]) -> GivenVectors:
        """Return the vectors of the tokens of sequences."""
        ends = np.cumsum([0, *map(len, sequences)])
        rows = [np.arange(begin, end) for begin, end in zip(ends, ends[1:])]
        table = _new_table(int(ends[-1]), self.size)
        # Sequences of similar length are side by side.
        order = sorted((i for i in range(len(sequences)) if sequences[i]), key=lambda i: sum(map(len, sequences[i])))
        for start in range(0, len(order), SIDE_BY_SIDE):
            some = order[start : start + SIDE_BY_SIDE]
            with self._network.computing():
                self._read([self._spelt(sequences[i]) for i in some], [rows[i] for i in some], table)
        return GivenVectors(table, rows)

    def _spelt(self, tokens: Sequence[str]) -> Spelt:
        lengths = np.array([len(token) for token in tokens])
        last = np.cumsum(lengths + 1) - 1
        return Spelt(self._vocabulary.ids("\n" + " ".join(tokens) + "\n"), last - lengths + 1, np.maximum(last, 1))

    def _read(self, texts: list[Spelt], rows: list[np.ndarray], table: np.ndarray) -> None:
        network, h = self._network, self._hidden
        begin = network.begin(len(texts))
        self._read_one_way(network.read, begin, [t.ids for t in texts], [t.last for t in texts], rows, table[:, :h])
        if network.architecture.bidirectional:
            reversed_ids = [t.ids[::-1] for t in texts]
            places = [len(t.ids) - 1 - t.first for t in texts]
            begin = network.begin_right(len(texts))
            self._read_one_way(network.read_right, begin, reversed_ids, places, rows, table[:, h:])
        for own in rows:
            table[own] /= np.sqrt(np.square(table[own]).mean(axis=1, keepdims=True) + 1e-12)

    def _read_one_way(
        self,
        read: Any,
        states: Any,
        ids: list[np.ndarray],
        places: list[np.ndarray],
        rows: list[np.ndarray],
        table: np.ndarray,
    ) -> None:
        """Read texts side by side, and write the hidden vectors at some places of each to rows of a table."""
        longest = max(map(len, ids))
        padded = np.zeros((-(-longest // WINDOW) * WINDOW, len(ids)), np.int32)
        for column, text in enumerate(ids):
            padded[: len(text), column] = text
        for start in range(0, longest, WINDOW):
            hidden, states = read(padded[start : start + WINDOW], states)
            values = self._network.vectors(hidden)
            for column, (where, own) in enumerate(zip(places, rows)):
                here = (where >= start) & (where < start + WINDOW)
                table[own[here]] = values[where[here] - start, column]


def _new_table(rows: int, size: int) -> np.ndarray:
    if 4 * rows * size <= MOST_IN_MEMORY:
        return np.zeros((rows, size), np.float32)
    with tempfile.TemporaryFile(prefix="seqlm-") as file:  # it is removed when nothing maps it any more
        return np.memmap(file, np.float32, "w+", shape=(rows, size))
