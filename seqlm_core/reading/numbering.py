"""Numbers the tokens of a text as they first occur. The vocabulary, which needs their counts, is made afterwards."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Callable

import numpy as np

from seqlm_core.errors import PluginError
from seqlm_core.plugins.guarded_tokenizer import tokenizer_title
from seqlm_core.plugins.specs import CodingTokenizer, Tokenizer
from seqlm_core.reading.documents import cutting_documents, ends_line
from seqlm_core.reading.integer_file import AT_A_TIME, IntegerFile
from seqlm_core.reading.tokenizing import cut_blocks
from seqlm_core.settings.settings import FILE_DOCUMENTS, LINE_DOCUMENTS, NO_DOCUMENTS
from seqlm_core.storage.temporary import readable_file_errors

LARGEST_CODE = (1 << 24) - 1
"""The largest code of a token. There is a table of all of them."""


@dataclasses.dataclass(frozen=True)
class NumberedText:
    """A text as the numbers of its tokens.

    Attributes:
        ids: the numbers, memory-mapped, in the smallest type that has room for them and for one more.
        characters: the length of the text.
        ends: whether each token is the last one of a document, uint8; None without documents.
    """

    ids: np.ndarray
    characters: int
    ends: np.ndarray | None = None


def number_tokens(
    files: Iterable[Iterator[str]], tokenizer: Tokenizer, numbers: dict[str, int], documents: str, largest: int
) -> NumberedText:
    """Tokenize the blocks of files, one file after the other.

    With documents, the first of the numbers stands for the token before the first document.

    Args:
        files: the blocks of each file.
        tokenizer: cuts them.
        numbers: the numbers of tokens; new ones are added.
        documents: the setting of that name.
        largest: the largest integer for which there has to be room in the place of each number.
    """
    characters = 0
    number = _numberer(cutting_documents(tokenizer, documents), numbers)
    of_documents = documents != NO_DOCUMENTS
    table = np.zeros(0, dtype=np.uint8)  # whether each token ends a line

    def counted(blocks: Iterable[str]) -> Iterator[str]:
        nonlocal characters
        for block in blocks:
            characters += len(block)
            yield block

    with readable_file_errors(), IntegerFile(largest) as file, IntegerFile() as ends:
        if of_documents:
            file.write(np.zeros(1, np.int32), 0)
            ends.write(np.ones(1, np.uint8), 1)
        for blocks in files:
            for ids in number(counted(blocks)):
                file.write(ids, len(numbers) + 1)
                if documents == LINE_DOCUMENTS:
                    new = list(itertools.islice(numbers, len(table), None))
                    table = np.append(table, np.array([ends_line(tokenizer, t) for t in new], dtype=np.uint8))
                    ends.write(table[ids], 1)
                elif of_documents:
                    ends.write(np.zeros(len(ids), np.uint8), 1)
            if documents == FILE_DOCUMENTS:
                ends.change_last(1)
        if not characters:
            return NumberedText(np.zeros(0, dtype=np.int32), 0)
        return NumberedText(file.array(), characters, ends.array() if of_documents else None)


def count_tokens(ids: np.ndarray, size: int, at_a_time: int = AT_A_TIME) -> np.ndarray:
    """Return how often each number from 0 to below ``size`` occurs."""
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(ids), at_a_time):
        counts += np.bincount(ids[start : start + at_a_time], minlength=size)
    return counts


def _numberer(tokenizer: Tokenizer, numbers: dict[str, int]) -> Callable[[Iterable[str]], Iterator[np.ndarray]]:
    """Return a function that yields the numbers of the tokens of a text that comes in blocks."""
    if isinstance(tokenizer, CodingTokenizer):
        return _CodeNumbers(tokenizer, numbers)

    def number(blocks: Iterable[str]) -> Iterator[np.ndarray]:
        for text in cut_blocks(blocks, tokenizer):
            tokens = tokenizer.tokenize(text)
            for token in tokens:
                numbers.setdefault(token, len(numbers))
            yield np.fromiter((numbers[token] for token in tokens), np.int32, len(tokens))

    return number


class _CodeNumbers:
    """Numbers tokens by their codes, by a table of all codes.

    Args:
        tokenizer: gives the codes.
        numbers: the numbers of tokens; new ones are added.
    """

    def __init__(self, tokenizer: CodingTokenizer, numbers: dict[str, int]) -> None:
        self._tokenizer = tokenizer
        self._numbers = numbers
        self._table = np.zeros(0, dtype=np.int32)  # the number of each code; -1 where it has none

    def __call__(self, blocks: Iterable[str]) -> Iterator[np.ndarray]:
        for text in cut_blocks(blocks, self._tokenizer):
            codes = self._tokenizer.codes(text)
            if not len(codes):
                continue
            self._make_room(int(codes.max()), int(codes.min()))
            ids = self._table[codes]
            if ids.min() < 0:
                new, first = np.unique(codes[ids < 0], return_index=True)
                for code in new[np.argsort(first)].tolist():
                    token = self._tokenizer.token_of(code)
                    self._table[code] = self._numbers.setdefault(token, len(self._numbers))
                ids = self._table[codes]
            yield ids

    def _make_room(self, largest: int, smallest: int) -> None:
        if smallest < 0 or largest > LARGEST_CODE:
            raise PluginError(
                f"{tokenizer_title(self._tokenizer)}: codes must be from 0 to {LARGEST_CODE:,}, not "
                f"{smallest if smallest < 0 else largest}"
            )
        missing = largest + 1 - len(self._table)
        if missing > 0:
            self._table = np.append(self._table, np.full(missing, -1, dtype=np.int32))
