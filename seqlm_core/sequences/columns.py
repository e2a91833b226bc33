"""Column files, the format of tagging: each line has a token and its columns, and blank lines separate sequences."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seqlm_core.errors import SettingError, TextError
from seqlm_core.reading.lines import read_lines
from seqlm_core.reading.text import check_readable
from seqlm_core.sequences.tokens import Token
from seqlm_core.settings.arguments import PathLike, check_argument, check_encoding, checked_path

MOST_TOKENS = 20_000
"""The most tokens of a sequence in a file. 100,000 take a small tagger 4 GB to label, and 17 GB to train on."""


@dataclasses.dataclass(frozen=True)
class ColumnSequence:
    """One sequence of a column file.

    Attributes:
        lines: the lines of the file, one for each token, without line ends.
        fields: the columns of each line. All lines of a file have the same number, and none is empty.
        first_line: the number of the first line in the file, counted from 1.
        path: the file, for messages.
    """

    lines: list[str]
    fields: list[list[str]]
    first_line: int
    path: Path

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def width(self) -> int:
        """The number of columns in each line."""
        return len(self.fields[0])


@dataclasses.dataclass(frozen=True)
class Columns:
    """The numbers of the columns with tokens, labels, and what else is read of each token.

    1 is the first column, and -1 the last.

    Raises:
        SettingError: a number is 0.
    """

    token: int = 1
    label: int = -1
    further: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        named = {"token_column": [self.token], "label_column": [self.label], "columns": self.further}
        for setting, numbers in named.items():
            if 0 in numbers:
                raise SettingError(setting, "must not be 0: columns count from 1, or from the end with -1")

    def example(self, sequence: ColumnSequence) -> tuple[list[Token], list[str]]:
        """Return the tokens and the labels of a sequence, which are kept once however often they occur.

        Raises:
            SettingError: as by :meth:`tokens` and :meth:`labels`.
        """

        def interned(token: Token) -> Token:
            return sys.intern(token) if isinstance(token, str) else tuple(map(sys.intern, token))

        return list(map(interned, self.tokens(sequence))), list(map(sys.intern, self.labels(sequence)))

    def tokens(self, sequence: ColumnSequence) -> list[Token]:
        """Return the tokens of a sequence, each a tuple if there are further columns.

        Raises:
            SettingError: the file has no such column.
        """
        index = _index(self.token, "token_column", sequence)
        if not self.further:
            return [fields[index] for fields in sequence.fields]
        indices = [index, *(_index(number, "columns", sequence) for number in self.further)]
        return [tuple(fields[i] for i in indices) for fields in sequence.fields]

    def labels(self, sequence: ColumnSequence) -> list[str]:
        """Return the labels of a sequence, one for each token.

        Raises:
            SettingError: the file has no such column, or the model is to read it.
        """
        index = _index(self.label, "label_column", sequence)
        for number in self.further:
            if index == _index(number, "columns", sequence):
                raise SettingError("columns", f"has {number}, which is the column of the labels")
        if index == _index(self.token, "token_column", sequence):
            raise SettingError(
                "label_column",
                f"is {self.label}, and in {sequence.path}, with {_count_columns(sequence.width)}, that is the token "
                "column too; choose another, or add a column of labels",
            )
        return [fields[index] for fields in sequence.fields]


def read_sequences(path: PathLike, encoding: str = "utf-8") -> Iterator[ColumnSequence]:
    """Yield the sequences of a column file one at a time, so that a file may be larger than the memory.

    Lines are split at tabs if the first line holds a tab, and otherwise at runs of spaces. Lines with nothing but
    spaces and tabs are blank; several in a row count as one. Other white space is text: a no-break space can be a
    token.

    Args:
        path: the file. Its lines end with a line feed, or with a carriage return and a line feed.
        encoding: the encoding of the file. A byte-order mark at the beginning of a UTF-8 file is left out.

    Raises:
        TextError: the file cannot be read or holds no sequences, its lines differ in their number of columns, a column
            is empty, or a sequence has more than :data:`MOST_TOKENS` tokens.
        SettingError: there is no such encoding.
    """
    check_encoding(encoding)
    path = check_readable(path)
    empty = True
    for is_sequence, group in itertools.groupby(_read_rows(path, encoding), key=lambda row: bool(row.fields)):
        if is_sequence:
            empty = False
            rows = list(itertools.islice(group, MOST_TOKENS + 1))
            if len(rows) > MOST_TOKENS:
                raise TextError(
                    f"{path}, line {rows[0].number} begins a sequence of more than {MOST_TOKENS:,} tokens, which is "
                    "read as a whole and takes too much memory; part sequences by blank lines"
                )
            yield ColumnSequence([row.line for row in rows], [row.fields for row in rows], rows[0].number, path)
    if empty:
        raise TextError(f"{path} holds no sequences, only blank lines")


def read_columns(
    path: PathLike,
    token_column: int = 1,
    label_column: int = -1,
    encoding: str = "utf-8",
    columns: Sequence[int] = (),
) -> list[tuple[list[Token], list[str]]]:
    """Return the examples of a column file: the tokens and the labels of each sequence.

    Args:
        path: the file, with one token a line and a blank line between sequences.
        token_column: the number of the column with the tokens. 1 is the first column, and -1 the last.
        label_column: the number of the column with the labels.
        encoding: the encoding of the file.
        columns: the numbers of further columns to read, such as that of the parts of speech. With any, each token is a
            tuple of its text and these.

    Raises:
        TextError: the file cannot be read or holds no sequences, its lines differ in their number of columns, or a
            column is empty.
        SettingError: the file has no such column, or tokens and labels have the same column.
    """
    path = checked_path("path", path)
    check_argument("token_column", token_column, int)
    check_argument("label_column", label_column, int)
    for number in columns:
        check_argument("columns", number, int)
    read = Columns(token_column, label_column, tuple(columns))
    return [read.example(sequence) for sequence in read_sequences(path, encoding)]


class _Row(NamedTuple):
    """A line of a file, its number counted from 1, and its columns. A blank line has no columns."""

    number: int
    line: str
    fields: list[str]


def _read_rows(path: Path, encoding: str) -> Iterator[_Row]:
    """Yield all lines of a file, and check that those that are not blank have as many columns as the first one."""
    first: _Row | None = None
    for number, line in enumerate(read_lines(path, encoding), start=1):
        at_tabs = "\t" in (line if first is None else first.line)
        row = _Row(number, line, _split(line, at_tabs))
        if row.fields:
            first = first or row
            if len(row.fields) != len(first.fields):
                raise TextError(
                    f"{path}, line {number} has {_count_columns(len(row.fields))}, and line {first.number} has "
                    f"{len(first.fields)}; give every line the same columns"
                )
            if "" in row.fields:
                column = row.fields.index("") + 1
                raise TextError(f"{path}, line {number} has an empty column {column}; fill it, or remove a tab")
            if "\t" in line and not at_tabs:
                raise TextError(
                    f"{path}, line {number} has a tab, and line {first.number} has none; separate all columns by tabs, "
                    "or all by spaces"
                )
        yield row


def _split(line: str, at_tabs: bool) -> list[str]:
    if not line.strip(" \t"):
        return []
    if at_tabs:
        return line.split("\t")
    return [field for field in line.split(" ") if field]


def _index(number: int, setting: str, sequence: ColumnSequence) -> int:
    """Return the index of column ``number`` in the fields of each line."""
    if not 1 <= abs(number) <= sequence.width:
        raise SettingError(
            setting, f"is {number}, and the lines of {sequence.path} have {_count_columns(sequence.width)}"
        )
    return number - 1 if number > 0 else sequence.width + number


def _count_columns(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"
