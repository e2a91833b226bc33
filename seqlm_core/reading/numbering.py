"""Numbers the tokens of a text as they first occur. The vocabulary, which needs their counts, is made afterwards."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Callable

import numpy as np

from seqlm_core.errors import PluginError
from seqlm_core.plugins.guarded_tokenizer import tokenizer_title
from seqlm_core.plugins.specs import CodingTokenizer, Tokenizer
from seqlm_core.reading.documents import cutting_documents, ends_line
from seqlm_core.reading.integer_file import IntegerFile
from seqlm_core.reading.tokenizing import cut_blocks, distinct_tokens
from seqlm_core.settings.settings import FILE_DOCUMENTS, LINE_DOCUMENTS, NO_DOCUMENTS

START_NUMBER = 0
"""The number of the token before the first document, which is none of the text's."""

LARGEST_CODE = (1 << 24) - 1
"""The largest code of a token. There is a table of all of them."""


@dataclasses.dataclass(frozen=True)
class NumberedText:
    """A text as the numbers of its tokens.

    Attributes:
        numbers: the numbers, memory-mapped, in the smallest type that has room for them.
        counts: how often each number occurs, int64 ``(numbers,)``.
        characters: the length of the text.
        ends: whether each token is the last one of a document, uint8; None without documents. The first token is
            :data:`START_NUMBER` then.
    """

    numbers: np.ndarray
    counts: np.ndarray
    characters: int
    ends: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)


class Numbers(dict[str, int]):
    """The numbers of tokens, from 1 on, in the order in which they first occurred."""

    def of(self, tokens: Iterable[str]) -> np.ndarray:
        """Return the numbers of tokens, int32. New ones get numbers."""
        return np.fromiter((self.setdefault(token, len(self) + 1) for token in tokens), np.int32)


Cutter = Callable[[Iterator[str]], Iterator["tuple[list[str], np.ndarray]"]]
"""Yields the distinct tokens of each piece of a text, and the place of each token of the piece among them."""


def number_tokens(
    files: Iterable[Iterator[str]],
    tokenizer: Tokenizer,
    numbers: Numbers,
    documents: str,
    *,
    path: Path | None = None,
    cutter: Cutter | None = None,
) -> NumberedText:
    """Tokenize the blocks of files, one file after the other.

    Args:
        files: the blocks of each file.
        tokenizer: cuts them.
        numbers: the numbers of tokens; new ones are added.
        documents: the setting of that name.
        path: where to write the numbers, and the ends of documents with another suffix; None means temporary files.
        cutter: cuts the pieces instead of this process.
    """
    characters = 0
    number = _numberer(cutting_documents(tokenizer, documents), numbers, cutter)
    of_documents = documents != NO_DOCUMENTS
    table = np.zeros(1, dtype=np.uint8)  # whether each token ends a line
    counts = np.zeros(1, dtype=np.int64)

    def counted(blocks: Iterable[str]) -> Iterator[str]:
        nonlocal characters
        for block in blocks:
            characters += len(block)
            yield block

    ends_path = None if path is None else ends_of(path)
    with IntegerFile(path) as file, IntegerFile(ends_path) if of_documents else IntegerFile() as ends:
        if of_documents:
            file.write(np.array([START_NUMBER]), START_NUMBER)
            ends.write(np.ones(1, np.uint8), 1)
        for blocks in files:
            for found in number(counted(blocks)):
                file.write(found, len(numbers))
                counts = _sum(counts, np.bincount(found, minlength=len(numbers) + 1))
                if documents == LINE_DOCUMENTS:
                    new = itertools.islice(numbers, len(table) - 1, None)
                    table = np.append(table, np.fromiter((ends_line(tokenizer, token) for token in new), np.uint8))
                    ends.write(table[found], 1)
                elif of_documents:
                    ends.write(np.zeros(len(found), np.uint8), 1)
            if documents == FILE_DOCUMENTS:
                ends.change_last(1)
        if not characters:
            return NumberedText(np.zeros(0, np.uint8), counts, 0)
        return NumberedText(file.array(), counts, characters, ends.array() if of_documents else None)


def ends_of(path: Path) -> Path:
    """Return the file of the ends of documents beside the one of the numbers."""
    return path.with_suffix(".ends")


def _sum(counts: np.ndarray, more: np.ndarray) -> np.ndarray:
    more[: len(counts)] += counts
    return more


def _numberer(
    tokenizer: Tokenizer, numbers: Numbers, cutter: Cutter | None
) -> Callable[[Iterator[str]], Iterator[np.ndarray]]:
    """Return a function that yields the numbers of the tokens of a text that comes in blocks."""
    if isinstance(tokenizer, CodingTokenizer):
        return _CodeNumbers(tokenizer, numbers)

    def cut_here(pieces: Iterator[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        return (distinct_tokens(tokenizer, text) for text in pieces)

    def number(blocks: Iterator[str]) -> Iterator[np.ndarray]:
        for distinct, places in (cutter or cut_here)(cut_blocks(blocks, tokenizer)):
            yield numbers.of(distinct)[places]

    return number


class _CodeNumbers:
    """Numbers tokens by their codes, by a table of all codes.

    Args:
        tokenizer: gives the codes.
        numbers: the numbers of tokens; new ones are added.
    """

    def __init__(self, tokenizer: CodingTokenizer, numbers: Numbers) -> None:
        self._tokenizer = tokenizer
        self._numbers = numbers
        self._table = np.zeros(0, dtype=np.int32)  # the number of each code; 0 where it has none

    def __call__(self, blocks: Iterable[str]) -> Iterator[np.ndarray]:
        for text in cut_blocks(blocks, self._tokenizer):
            codes = self._tokenizer.codes(text)
            if not len(codes):
                continue
            self._make_room(int(codes.max()), int(codes.min()))
            found = self._table[codes]
            if not found.min():
                new, first = np.unique(codes[found == 0], return_index=True)
                new = new[np.argsort(first)]
                self._table[new] = self._numbers.of(map(self._tokenizer.token_of, new.tolist()))
                found = self._table[codes]
            yield found

    def _make_room(self, largest: int, smallest: int) -> None:
        if smallest < 0 or largest > LARGEST_CODE:
            raise PluginError(
                f"{tokenizer_title(self._tokenizer)}: codes must be from 0 to {LARGEST_CODE:,}, not "
                f"{smallest if smallest < 0 else largest}"
            )
        missing = largest + 1 - len(self._table)
        if missing > 0:
            self._table = np.append(self._table, np.zeros(missing, dtype=np.int32))
