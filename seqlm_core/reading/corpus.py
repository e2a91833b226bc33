"""Texts turned into token ids that lie in a memory-mapped file, so that memory does not grow with the text."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, cast

import numpy as np

from seqlm_core.errors import TextError
from seqlm_core.plugins.specs import Tokenizer, TrainableTokenizer
from seqlm_core.reading.text import TextFile, check_readable
from seqlm_core.reading.tokenizing import tokenize_blocks
from seqlm_core.reading.unknown import MOST_UNKNOWN, unknown_in_words
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary
from seqlm_core.settings.arguments import PathLike
from seqlm_core.storage.temporary import readable_file_errors

logger = logging.getLogger("seqlm")

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

    @property
    def unknown_share(self) -> float:
        """Share of unknown tokens among all but the first."""
        return self.unknown_tokens / max(1, len(self) - 1)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What a training reads: the vocabulary, the training part, and the validation part if there is one.

    The tokenizer is the one that cut them, with what it has learnt.
    """

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    training: TokenizedText
    validation: TokenizedText | None


def read_corpus(
    paths: Sequence[PathLike],
    tokenizer: Tokenizer,
    *,
    encoding: str = "utf-8",
    validation_fraction: float = 0.0,
    validation_paths: Sequence[PathLike] = (),
    min_count: int = 1,
    max_vocabulary: int = 0,
    vocabulary: Vocabulary | None = None,
) -> Corpus:
    """Read and tokenize texts once, and split them into training and validation part.

    Args:
        paths: the files, read one after the other; a :class:`~seqlm_core.reading.text.TextFile` knows afterwards what
            was read.
        tokenizer: cuts the text.
        encoding: of all files.
        validation_fraction: share of the characters, at the end, that becomes the validation part.
        validation_paths: files that are the validation part instead.
        min_count: see :meth:`Vocabulary.from_counts`; counted in the training part alone.
        max_vocabulary: likewise.
        vocabulary: use this one and make none; the tokenizer has learnt already what there is to learn.

    Raises:
        TextError: a text cannot be read, changed while it was read, or consists of one symbol only.
    """
    files = [TextFile.of(path) for path in paths]
    numbers: dict[str, int] = {}
    if validation_paths or not validation_fraction:
        if vocabulary is None:
            _train(tokenizer, _whole(files, encoding))
        training = _number_tokens(_whole(files, encoding), tokenizer, numbers)
        held_out = None
    else:
        lengths = [sum(map(len, blocks)) for blocks in _whole(files, encoding)]
        # In characters, so that every tokenizer trains and validates on the same text.
        cut, end = int(sum(lengths) * (1 - validation_fraction)), sum(lengths)
        if vocabulary is None:
            _train(tokenizer, _part(files, lengths, encoding, 0, cut))
        training = _number_tokens(_part(files, lengths, encoding, 0, cut), tokenizer, numbers)
        held_out = _number_tokens(_part(files, lengths, encoding, cut, end), tokenizer, numbers)
        if len(training.ids) < 2 and numbers:
            raise TextError(
                f"{_names(paths)} is so short that `validation_fraction` {validation_fraction} leaves "
                f"{len(training.ids)} tokens to train on"
            )
    for file in files:
        file.check_unchanged()
    if not len(training.ids):
        raise TextError(f"{_names(paths)} holds no text")
    tokens = list(numbers)
    if vocabulary is None:
        counts = _count(training.ids, len(tokens))
        if np.count_nonzero(counts) == 1:
            raise TextError(
                f"the training part of {_names(paths)} holds one token only, {tokens[int(counts.argmax())]!r}, "
                "again and again: nothing to learn"
            )
        named = {token: int(n) for token, n in zip(tokens, counts) if n}
        vocabulary = Vocabulary.from_counts(named, min_count, max_vocabulary)
    name = _names(paths)
    validation: TokenizedText | None = None
    if validation_paths:
        validation = read_text(validation_paths, tokenizer, vocabulary, encoding)
    elif held_out is not None and len(held_out.ids):
        validation = _with_vocabulary(held_out, tokens, tokenizer, vocabulary, f"the end of {name}")
    return Corpus(tokenizer, vocabulary, _with_vocabulary(training, tokens, tokenizer, vocabulary, name), validation)


def read_text(
    paths: Sequence[PathLike], tokenizer: Tokenizer, vocabulary: Vocabulary, encoding: str = "utf-8"
) -> TokenizedText:
    """Read and tokenize texts with a vocabulary that exists.

    Raises:
        TextError: a text cannot be read, or changed while it was read.
    """
    numbers: dict[str, int] = {}
    numbered = _number_tokens(_whole([TextFile.of(path) for path in paths], encoding), tokenizer, numbers)
    if not len(numbered.ids):
        raise TextError(f"{_names(paths)} holds no text")
    return _with_vocabulary(numbered, list(numbers), tokenizer, vocabulary, _names(paths))


def warn_of_unknown_tokens(text: TokenizedText, mend: str = "") -> None:
    """Warn if tokens of ``text`` are not in the vocabulary, show one of them, and say what its figures are worth.

    Args:
        text: of the figures.
        mend: what to do where so many are unknown that the figures say little.
    """
    if text.first_unknown is None:
        return
    told = unknown_in_words(text.name, text.unknown_tokens, len(text) - 1, text.first_unknown)
    if text.unknown_share > MOST_UNKNOWN:
        logger.warning(
            "%s; THE FIGURES ARE FAR TOO GOOD, since all of these count as one token, <unk>, which is easy to predict; "
            "bits per character are withheld%s",
            told,
            mend and f"; {mend}",
        )
    else:
        logger.warning("%s; bits per character are not comparable then", told)


def _train(tokenizer: Tokenizer, files: Iterable[Iterator[str]]) -> None:
    """Let a tokenizer that can learn do so."""
    if isinstance(tokenizer, TrainableTokenizer):
        tokenizer.train(itertools.chain.from_iterable(files))


def _whole(files: Sequence[TextFile], encoding: str) -> Iterator[Iterator[str]]:
    """Yield the blocks of each file."""
    for file in files:
        check_readable(file)
        yield file.blocks(encoding)


def _part(
    files: Sequence[TextFile], lengths: Sequence[int], encoding: str, start: int, stop: int
) -> Iterator[Iterator[str]]:
    """Yield the blocks of each file that lie in characters ``start`` to ``stop`` of all files, one after the other.

    Args:
        files: the files.
        lengths: of each in characters.
        encoding: of all files.
        start: of the part.
        stop: its end.
    """
    before = 0
    for file, length in zip(files, lengths):
        first, last = max(0, start - before), min(length, stop - before)
        if first < last:
            yield _between(file.blocks(encoding), first, last)
        before += length


def _between(blocks: Iterable[str], first: int, last: int) -> Iterator[str]:
    """Yield what lies in characters ``first`` to ``last`` of a text in blocks."""
    position = 0
    for block in blocks:
        kept = block[max(0, first - position) : max(0, last - position)]
        if kept:
            yield kept
        position += len(block)
        if position >= last:
            return


@dataclasses.dataclass(frozen=True)
class _NumberedText:
    """A text as numbers of its tokens in the order in which they were first seen, and its length in characters."""

    ids: np.ndarray
    characters: int


def _number_tokens(files: Iterable[Iterator[str]], tokenizer: Tokenizer, numbers: dict[str, int]) -> _NumberedText:
    """Tokenize the blocks of files, one file after the other; new tokens get the next of the ``numbers``."""
    characters = 0

    def counted(blocks: Iterable[str]) -> Iterator[str]:
        nonlocal characters
        for block in blocks:
            characters += len(block)
            yield block

    # The file has no name any more when this returns; the map keeps it alive.
    with readable_file_errors(), tempfile.TemporaryFile(prefix="seqlm-") as file:
        for blocks in files:
            for tokens in tokenize_blocks(counted(blocks), tokenizer):
                for token in tokens:
                    numbers.setdefault(token, len(numbers))
                file.write(np.fromiter((numbers[token] for token in tokens), np.int32, len(tokens)).data)
        file.flush()
        if not characters:
            return _NumberedText(np.zeros(0, dtype=np.int32), 0)
        return _NumberedText(np.memmap(cast(BinaryIO, file), dtype=np.int32, mode="r+"), characters)


def _count(ids: np.ndarray, size: int) -> np.ndarray:
    counts = np.zeros(size, dtype=np.int64)
    for part in _parts(ids):
        counts += np.bincount(part, minlength=size)
    return counts


def _with_vocabulary(
    text: _NumberedText, tokens: list[str], tokenizer: Tokenizer, vocabulary: Vocabulary, name: str
) -> TokenizedText:
    """Replace the numbers of ``tokens`` by ids of the vocabulary, in place."""
    ids = text.ids
    counts = _count(ids[1:], len(tokens))
    new_ids = vocabulary.ids(tokens)
    unknown = np.where(new_ids == UNKNOWN_ID, counts, 0)
    shown = tokens[int(unknown.argmax())] if unknown.any() else None
    first_characters = len(tokenizer.detokenize([tokens[ids[0]]]))
    for part in _parts(ids):
        part[:] = new_ids[part]
    return TokenizedText(ids, text.characters - first_characters, int(unknown.sum()), shown, name)


def _parts(ids: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(ids), IDS_AT_A_TIME):
        yield ids[start : start + IDS_AT_A_TIME]


def _names(paths: Sequence[PathLike]) -> str:
    return ", ".join(os.fspath(path) for path in paths)
