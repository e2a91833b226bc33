"""What a language model knows at the borders of words, as vectors of these words."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.errors import SettingError
from seqlm_core.model.window_network import WindowNetwork
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.sequences.given_vectors import GivenVectors

WINDOW = 64
"""The number of the language model's tokens that are read in one go."""
SIDE_BY_SIDE = 64
"""The most sequences that are read side by side."""
MOST_IN_MEMORY = 1 << 26
"""Larger tables, in bytes, are in a temporary file that is mapped into memory."""
BLANK_AND_LINE_END = " \n"


class Spelt(NamedTuple):
    """A sequence of words as a line of text, in the tokens of a language model.

    Attributes:
        ids: the ids of these tokens.
        first: the place of the token with the first character of each word.
        last: that of the one with the last character.
    """

    ids: np.ndarray
    first: np.ndarray
    last: np.ndarray


class LanguageStates:
    """Gives each word the hidden vectors of a language model at its borders (Akbik et al. 2018).

    They are those of the top layer: of the forward direction after the word's last character and, if there is a
    backward direction, of that one after the word's first. So each has read a whole side of the sequence, and the
    word. They are scaled so that the mean square of the numbers of a word is 1.

    Of a model whose tokens are longer than characters they are followed by the model's embedding of the word, if it has
    embeddings: the mean of its tokens' ones, scaled so that the mean square of all embeddings is 1.

    Args:
        network: the language model, which is given any number of rows.
        tokenizer: what cuts its text into tokens.
        vocabulary: its vocabulary.
        embeddings: the embeddings of the vocabulary, ``(vocabulary, size)``; None if there are none.
        path: the directory of its run.
        digest: the digest of its weights.

    Attributes:
        size: the length of the vectors.
        described: what a run records of the source.
    """

    def __init__(
        self,
        network: WindowNetwork,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        embeddings: np.ndarray | None,
        path: str,
        digest: str,
    ) -> None:
        self.described = {"language_model": {"path": path, "digest": digest}}
        self._network = network
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        # In the texts of the literature each line begins and ends with a blank.
        blank = " " if BLANK_AND_LINE_END in vocabulary else ""
        self._before, self._after = f"{blank}\n{blank}", f"{blank}\n"
        self._hidden = network.architecture.hidden_sizes[-1]
        self._states = self._hidden * (2 if network.architecture.bidirectional else 1)
        self._embeddings = None
        if embeddings is not None and any(len(token) > 1 for token in vocabulary.tokens[1:]):
            self._embeddings = embeddings / np.sqrt(np.square(embeddings).mean() + 1e-12)
        self.size = self._states + (0 if self._embeddings is None else self._embeddings.shape[1])

    def of(self, sequences: Sequence[Sequence[str]]) -> GivenVectors:
        """Return the vectors of the words of sequences.

        Raises:
            SettingError: the language model's tokens are not pieces of its text.
        """
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

    def _spelt(self, words: Sequence[str]) -> Spelt:
        text = self._before + " ".join(words) + self._after
        tokens = self._tokenizer.tokenize(text)
        if "".join(tokens) != text:
            raise SettingError("language_model", "must have tokens that are pieces of its text")
        token_of_character = np.repeat(np.arange(len(tokens)), [len(token) for token in tokens])
        lengths = np.array([len(word) for word in words])
        first = len(self._before) + np.cumsum(lengths + 1) - lengths - 1
        last = np.maximum(first + lengths - 1, len(self._before))
        return Spelt(self._vocabulary.ids(tokens), token_of_character[first], token_of_character[last])

    def _read(self, texts: list[Spelt], rows: list[np.ndarray], table: np.ndarray) -> None:
        network, h = self._network, self._hidden
        begin = network.begin(len(texts))
        self._read_one_way(network.read, begin, [t.ids for t in texts], [t.last for t in texts], rows, table[:, :h])
        if network.architecture.bidirectional:
            reversed_ids = [t.ids[::-1] for t in texts]
            places = [len(t.ids) - 1 - t.first for t in texts]
            begin = network.begin_right(len(texts))
            self._read_one_way(network.read_right, begin, reversed_ids, places, rows, table[:, h : 2 * h])
        for text, own in zip(texts, rows):
            states = table[own, : self._states]
            table[own, : self._states] = states / np.sqrt(np.square(states).mean(axis=1, keepdims=True) + 1e-12)
            if self._embeddings is not None:
                table[own, self._states :] = _means(self._embeddings[text.ids], text.first, text.last)

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


def _means(rows: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the means of the rows from some to others, these included."""
    sums = np.cumsum(rows, axis=0, dtype=np.float64)
    last = np.maximum(first, last)
    return (sums[last] - sums[first] + rows[first]) / (last - first + 1)[:, None]


def _new_table(rows: int, size: int) -> np.ndarray:
    if 4 * rows * size <= MOST_IN_MEMORY:
        return np.zeros((rows, size), np.float32)
    with tempfile.TemporaryFile(prefix="seqlm-") as file:  # it is removed when nothing maps it any more
        return np.memmap(file, np.float32, "w+", shape=(rows, size))
