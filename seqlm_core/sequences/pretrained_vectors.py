"""Pre-trained vectors of tokens, from a file in the text format of word2vec and GloVe."""

from __future__ import annotations

import collections
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqlm_core.errors import RunError, TextError
from seqlm_core.reading.lines import read_lines
from seqlm_core.reading.text import check_readable
from seqlm_core.sequences.given_vectors import NO_VECTOR, GivenVectors
from seqlm_core.settings.arguments import PathLike
from seqlm_core.storage.checkpoint import load_mapped, save_checkpoint
from seqlm_core.storage.schema import TEXT, check

KIND = "pre-trained vectors"
ROWS_AT_A_TIME = 4096


class PretrainedVectors:
    """The vectors of many tokens, in a file that is mapped into memory.

    They are scaled so that the mean square of all their numbers is 1, as is that of embeddings when they begin.

    Args:
        path: a file that :meth:`convert` wrote.

    Raises:
        RunError: it is damaged.

    Attributes:
        size: the length of the vectors.
        digest: the digest of the file's content.
        described: what a run records of the source.
    """

    def __init__(self, path: Path) -> None:
        arrays, state, self.digest = load_mapped(path)
        try:
            check(state, {"kind": TEXT, "source": TEXT}, "its state")
            self._table, encoded = arrays["vectors"], arrays["tokens"]
            tokens = encoded.tobytes().decode().split("\n")
            if state["kind"] != KIND or self._table.ndim != 2 or len(tokens) != len(self._table):
                raise ValueError("it holds no vectors of tokens")
            if self._table.dtype != np.float32 or not all(np.isfinite(part).all() for part in self._parts()):
                raise ValueError("its vectors have numbers that are not finite, or not of the type float32")
        except (KeyError, ValueError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
        self.path = path
        self.described = {"vectors": {"source": state["source"], "digest": self.digest}}
        self.size = int(self._table.shape[1])
        self._rows = {token: row for row, token in enumerate(tokens)}

    def __len__(self) -> int:
        return len(self._table)

    def _parts(self) -> Iterator[np.ndarray]:
        """Yield the table in parts, so that little of it is in memory."""
        return (self._table[first : first + ROWS_AT_A_TIME] for first in range(0, len(self), ROWS_AT_A_TIME))

    @classmethod
    def convert(cls, source: PathLike, path: Path) -> PretrainedVectors:
        """Read vectors from a text file, and write them to a file of which a part can be read.

        Each line of the text file has a token and its numbers, separated by spaces. The first line may hold the number
        of tokens and of numbers instead, as word2vec writes it. Of a token that occurs twice, the first is kept.

        Args:
            source: the text file, in UTF-8; it may be compressed with gzip or xz.
            path: the file to write.

        Raises:
            TextError: the text file cannot be read, or is not of this format.
        """
        beside = path.with_name(path.name + ".numbers")
        tokens: dict[str, None] = {}
        square = 0.0
        try:
            with beside.open("wb") as file:
                for token, vector in _read_vectors(check_readable(source)):
                    if token not in tokens:
                        tokens[token] = None
                        square += float(vector @ vector)
                        file.write(vector.astype(np.float32).tobytes())
            if not square:
                raise TextError(f"{source} holds no vectors, or all of them are 0")
            table = np.memmap(beside, np.float32, "r+", shape=(len(tokens), beside.stat().st_size // 4 // len(tokens)))
            scale = np.float32((table.size / square) ** 0.5)
            for first in range(0, len(table), ROWS_AT_A_TIME):
                table[first : first + ROWS_AT_A_TIME] *= scale
            encoded = np.frombuffer("\n".join(tokens).encode(), np.uint8)
            state = {"kind": KIND, "source": os.path.abspath(source)}
            save_checkpoint(path, {"vectors": table, "tokens": encoded}, state)
        finally:
            beside.unlink(missing_ok=True)
        return cls(path)

    def row(self, token: str) -> int:
        """Return the row of a token, or of it in small letters if there is no other; :data:`NO_VECTOR` if none."""
        found = self._rows.get(token)
        return self._rows.get(token.lower(), NO_VECTOR) if found is None else found

    def of(self, sequences: Sequence[Sequence[str]]) -> GivenVectors:
        """Return the vectors of the tokens of sequences; those of unknown tokens are 0."""
        return GivenVectors(
            self._table, [np.fromiter(map(self.row, sequence), np.int64, len(sequence)) for sequence in sequences]
        )

    def coverage(self, sequences: Iterable[Sequence[str]]) -> tuple[int, int, float]:
        """Return how many of the different tokens of sequences have a vector, of how many, and their share of all."""
        counts = collections.Counter(token for sequence in sequences for token in sequence)
        known = [token for token in counts if self.row(token) != NO_VECTOR]
        return len(known), len(counts), sum(counts[token] for token in known) / max(1, sum(counts.values()))


def _read_vectors(path: Path) -> Any:
    """Yield each token with its vector in doubles, and check that all vectors have the same length."""
    size = 0
    for number, line in enumerate(read_lines(path, "utf-8"), start=1):
        line = line.rstrip(" \t")
        if number == 1 and len(fields := line.split()) == 2 and all(field.isdigit() for field in fields):
            size = int(fields[1])
            continue
        if not line:
            continue
        size = size or len(line.replace("\t", " ").split(" ")) - 1
        if size < 1:
            raise TextError(f"{path}, line {number} has no numbers; each line needs a token and its vector")
        # A token may hold spaces, as some do in GloVe's files.
        token, *numbers = line.replace("\t", " ").rsplit(" ", size)
        vector = _numbers(numbers)
        if vector is None or len(numbers) != size:
            raise TextError(f"{path}, line {number} is not a token with {size} numbers, as there are in the first line")
        if not np.isfinite(vector).all() or abs(vector).max(initial=0) > np.finfo(np.float32).max:
            raise TextError(f"{path}, line {number} has a number that is not finite")
        yield token, vector


def _numbers(texts: list[str]) -> np.ndarray | None:
    """Return numbers, or None if a text is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # which says that not all of it is numbers
        try:
            found = np.fromstring(" ".join(texts), np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None
    return found if len(found) == len(texts) else None
