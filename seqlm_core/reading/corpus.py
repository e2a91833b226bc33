"""Texts turned into token ids that lie in a memory-mapped file, so that memory does not grow with the text."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from seqlm_core.errors import TextError
from seqlm_core.reading.text import check_readable, read_blocks
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary
from seqlm_core.specs import Tokenizer

IDS_AT_A_TIME = 1 << 20


@dataclasses.dataclass(frozen=True)
class TokenizedText:
    """A text as token ids.

    Attributes:
        ids: int32 token ids, usually memory-mapped.
        characters: length in characters of all tokens but the first, which is not predicted.
        unknown_tokens: how many of all tokens but the first are not in the vocabulary.
        first_unknown: one of the unknown tokens, to show; None where there is none.
        name: of the file or files, for messages.
    """

    ids: np.ndarray
    characters: int
    unknown_tokens: int
    first_unknown: str | None = None
    name: str = "the text"

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What a training reads: the vocabulary, the training part, and the validation part if there is one."""

    vocabulary: Vocabulary
    training: TokenizedText
    validation: TokenizedText | None


def read_corpus(
    paths: Sequence[Path],
    tokenizer: Tokenizer,
    *,
    encoding: str = "utf-8",
    validation_fraction: float = 0.0,
    validation_paths: Sequence[Path] = (),
    min_count: int = 1,
    max_vocabulary: int = 0,
    vocabulary: Vocabulary | None = None,
) -> Corpus:
    """Read and tokenize texts once, and split them into training and validation part.

    Args:
        paths: the files, read one after the other.
        tokenizer: cuts the text.
        encoding: of all files.
        validation_fraction: share of the tokens, at the end, that becomes the validation part.
        validation_paths: files that are the validation part instead.
        min_count: see :meth:`Vocabulary.from_counts`; counted in the training part alone.
        max_vocabulary: likewise.
        vocabulary: use this one and make none.

    Raises:
        TextError: a text cannot be read, or consists of one symbol only.
    """
    ids, tokens = _number_tokens(paths, tokenizer, encoding)
    training_size = len(ids)
    if not validation_paths:
        training_size -= round(len(ids) * validation_fraction)
    if training_size < 2:
        raise TextError(
            f"{_names(paths)} has {len(ids)} tokens, of which --validation-fraction {validation_fraction} leaves "
            f"{training_size} to train on"
        )
    if vocabulary is None:
        counts = _count(ids[:training_size], len(tokens))
        if np.count_nonzero(counts) == 1:
            raise TextError(
                f"the training part of {_names(paths)} holds one token only, {tokens[int(counts.argmax())]!r}, "
                "again and again: nothing to learn"
            )
        named = {token: int(n) for token, n in zip(tokens, counts) if n}
        vocabulary = Vocabulary.from_counts(named, min_count, max_vocabulary)
    training = _with_vocabulary(ids[:training_size], tokens, vocabulary, _names(paths))
    if validation_paths:
        validation: TokenizedText | None = read_text(validation_paths, tokenizer, vocabulary, encoding)
    elif training_size < len(ids):
        validation = _with_vocabulary(ids[training_size:], tokens, vocabulary, f"the end of {_names(paths)}")
    else:
        validation = None
    return Corpus(vocabulary, training, validation)


def read_text(
    paths: Sequence[Path], tokenizer: Tokenizer, vocabulary: Vocabulary, encoding: str = "utf-8"
) -> TokenizedText:
    """Read and tokenize texts with a vocabulary that exists.

    Raises:
        TextError: a text cannot be read.
    """
    ids, tokens = _number_tokens(paths, tokenizer, encoding)
    return _with_vocabulary(ids, tokens, vocabulary, _names(paths))


def tokenize_blocks(blocks: Iterable[str], tokenizer: Tokenizer) -> Iterator[list[str]]:
    """Yield the tokens of a text that comes in blocks; the same tokens as if it had come in one."""
    rest = ""
    for block in blocks:
        rest += block
        cut = tokenizer.last_cut(rest)
        if cut:
            yield tokenizer.tokenize(rest[:cut])
            rest = rest[cut:]
    if rest:
        yield tokenizer.tokenize(rest)


def _number_tokens(paths: Sequence[Path], tokenizer: Tokenizer, encoding: str) -> tuple[np.ndarray, list[str]]:
    """Return the text as numbers in the order in which tokens were first seen, and the tokens."""
    numbers: dict[str, int] = {}
    # The file has no name any more when this returns; the map keeps it alive.
    with tempfile.TemporaryFile(prefix="seqlm-") as file:
        for path in paths:
            check_readable(path)
            for tokens in tokenize_blocks(read_blocks(path, encoding), tokenizer):
                for token in tokens:
                    numbers.setdefault(token, len(numbers))
                np.fromiter((numbers[token] for token in tokens), np.int32, len(tokens)).tofile(file)
        file.flush()
        if not numbers:
            raise TextError(f"{_names(paths)} holds no text")
        return np.memmap(cast(BinaryIO, file), dtype=np.int32, mode="r+"), list(numbers)


def _count(ids: np.ndarray, size: int) -> np.ndarray:
    counts = np.zeros(size, dtype=np.int64)
    for part in _parts(ids):
        counts += np.bincount(part, minlength=size)
    return counts


def _with_vocabulary(ids: np.ndarray, tokens: list[str], vocabulary: Vocabulary, name: str) -> TokenizedText:
    """Replace the numbers of ``tokens`` in ``ids`` by ids of the vocabulary, in place."""
    if not len(ids):
        return TokenizedText(ids, 0, 0, name=name)
    counts = _count(ids[1:], len(tokens))
    lengths = np.array([len(token) for token in tokens], dtype=np.int64)
    new_ids = vocabulary.ids(tokens)
    unknown = np.where(new_ids == UNKNOWN_ID, counts, 0)
    shown = tokens[int(unknown.argmax())] if unknown.any() else None
    for part in _parts(ids):
        part[:] = new_ids[part]
    return TokenizedText(ids, int(counts @ lengths), int(unknown.sum()), shown, name)


def _parts(ids: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(ids), IDS_AT_A_TIME):
        yield ids[start : start + IDS_AT_A_TIME]


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)
