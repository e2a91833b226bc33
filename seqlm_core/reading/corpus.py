"""The texts of a training as token ids, and their vocabulary."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seqlm_core.errors import TextError
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.numbering import NumberedText
from seqlm_core.reading.preparing import Preparation
from seqlm_core.reading.text import TextFile
from seqlm_core.reading.tokenized_text import TokenizedText
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.settings.arguments import PathLike
from seqlm_core.settings.settings import NO_DOCUMENTS

MOST_NAMES = 3
"""The most names of texts in a message."""


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The texts of a training: the training part, the validation part (or None), and their vocabulary.

    The tokenizer is the one that cut the texts. If it learns, it has learnt from the training part.
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
    validation_limit: int = 0,
    validation_paths: Sequence[PathLike] = (),
    min_count: int = 1,
    max_vocabulary: int = 0,
    vocabulary: Vocabulary | None = None,
    documents: str = NO_DOCUMENTS,
    show_progress: bool = False,
) -> Corpus:
    """Read and tokenize texts, and split them into a training part and a validation part.

    Args:
        paths: the files, which are read one after the other. Afterwards, a
            :class:`~seqlm_core.reading.text.TextFile` has the fingerprint of what was read.
        tokenizer: the tokenizer that cuts the text.
        encoding: the encoding of all files.
        validation_fraction: the share of the characters, at the end, that is the validation part.
        validation_limit: the most characters of the validation part; 0 sets no limit.
        validation_paths: files that are the validation part, instead of the end of the text.
        min_count: the fewest occurrences in the training part that give a token a place in the vocabulary.
        max_vocabulary: the most tokens in the vocabulary; 0 sets no limit.
        vocabulary: an existing vocabulary to use instead of a new one. The tokenizer must have learnt already.
        documents: the setting of that name.
        show_progress: whether a bar shows how far the reading is, on a terminal.

    Raises:
        TextError: a text cannot be read, changed while it was read, or consists of one symbol only.
    """
    name = _names(paths)
    fraction = 0.0 if validation_paths else validation_fraction
    text = Preparation(
        [TextFile.of(path) for path in paths],
        tokenizer,
        learns=vocabulary is None,
        encoding=encoding,
        documents=documents,
        validation_fraction=fraction,
        validation_limit=validation_limit,
        show_progress=show_progress,
    ).text()
    training, held_out = text.training, text.held_out
    if held_out is not None and len(training) < 2 and text.tokens:
        raise TextError(
            f"{name} is so short that `validation_fraction` {fraction} leaves {len(training)} tokens to train on"
        )
    if not len(training):
        raise TextError(f"{name} holds no text")
    if vocabulary is None:
        vocabulary = _new_vocabulary(training, text.tokens, name, min_count, max_vocabulary)
    validation: TokenizedText | None = None
    if validation_paths:
        validation = read_text(
            validation_paths, tokenizer, vocabulary, encoding, documents, show_progress=show_progress
        )
    elif held_out is not None and len(held_out):
        validation = TokenizedText.of(held_out, text.tokens, tokenizer, vocabulary, f"the end of {name}")
    return Corpus(
        tokenizer, vocabulary, TokenizedText.of(training, text.tokens, tokenizer, vocabulary, name), validation
    )


def read_text(
    paths: Sequence[PathLike],
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    encoding: str = "utf-8",
    documents: str = NO_DOCUMENTS,
    *,
    show_progress: bool = False,
) -> TokenizedText:
    """Read and tokenize texts with an existing vocabulary.

    Raises:
        TextError: a text cannot be read, or changed while it was read.
    """
    files = [TextFile.of(path) for path in paths]
    text = Preparation(files, tokenizer, encoding=encoding, documents=documents, show_progress=show_progress).text()
    if not len(text.training):
        raise TextError(f"{_names(paths)} holds no text")
    return TokenizedText.of(text.training, text.tokens, tokenizer, vocabulary, _names(paths))


def _new_vocabulary(
    training: NumberedText, tokens: list[str], name: str, min_count: int, max_vocabulary: int
) -> Vocabulary:
    counts = training.counts[1:]
    if np.count_nonzero(counts) == 1:
        raise TextError(
            f"the training part of {name} holds one token only, {tokens[int(counts.argmax())]!r}, again and again: "
            "nothing to learn"
        )
    kept = np.flatnonzero(counts >= max(min_count, 1))
    if 0 < max_vocabulary < len(kept):  # of a million words most are rare, and need no place in a dictionary
        fewest = np.partition(counts[kept], -max_vocabulary)[-max_vocabulary]
        kept = kept[counts[kept] >= fewest]
    named = {tokens[number]: count for number, count in zip(kept.tolist(), counts[kept].tolist())}
    others = int(counts.sum() - counts[kept].sum())
    return Vocabulary.from_counts(named, min_count, max_vocabulary, others)


def _names(paths: Sequence[PathLike]) -> str:
    """Return what messages call a text: the files and folders that were named, or the first of many."""
    named = [path.folder or path if isinstance(path, TextFile) else path for path in paths]
    names = list(dict.fromkeys(os.fspath(path) for path in named))
    if len(names) > MOST_NAMES:
        return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES:,} others"
    return ", ".join(names)
