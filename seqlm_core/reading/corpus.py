"""Texts as token ids in a memory-mapped file, so that the memory in use does not grow with the text."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from seqlm_core.errors import TextError
from seqlm_core.plugins.specs import Tokenizer, TrainableTokenizer
from seqlm_core.reading.documents import start_id
from seqlm_core.reading.integer_file import AT_A_TIME
from seqlm_core.reading.numbering import NumberedText, count_tokens, number_tokens
from seqlm_core.reading.parts import both_parts, part, validation_start, whole
from seqlm_core.reading.text import TextFile
from seqlm_core.reading.unknown import MOST_UNKNOWN, unknown_in_words
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.settings.arguments import PathLike
from seqlm_core.settings.settings import NO_DOCUMENTS

logger = logging.getLogger("seqlm")

MOST_NAMES = 3
"""The most names of texts in a message."""


@dataclasses.dataclass(frozen=True)
class TokenizedText:
    """A text as token ids.

    Attributes:
        ids: token ids, usually memory-mapped, of the smallest of the types uint8, uint16 and int32.
        characters: the number of characters in all tokens but the first, which is not predicted.
        unknown_tokens: how many of all tokens but the first are not in the vocabulary.
        first_unknown: one of the unknown tokens, as an example; None if there is none.
        name: what messages call the text.
        ends: whether each token is the last one of a document, so that it is read with a fresh state, uint8; the first
            token is one then that the text does not have, and that predicts its first. None without documents.
    """

    ids: np.ndarray
    characters: int
    unknown_tokens: int
    first_unknown: str | None = None
    name: str = "the text"
    ends: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def with_ends(self) -> Iterator[tuple[int, bool]]:
        """Yield each token's id, and whether the token is the last one of a document."""
        return zip(self.ids, itertools.repeat(False) if self.ends is None else map(bool, self.ends))

    @property
    def unknown_share(self) -> float:
        """The share of unknown tokens among all tokens but the first."""
        return self.unknown_tokens / max(1, len(self) - 1)


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

    Raises:
        TextError: a text cannot be read, changed while it was read, or consists of one symbol only.
    """
    files = [TextFile.of(path) for path in paths]
    numbers: dict[str, int] = {}
    room = 0 if vocabulary is None else len(vocabulary)
    if validation_paths or not validation_fraction:
        if vocabulary is None:
            _train(tokenizer, whole(files, encoding))
        training = number_tokens(whole(files, encoding, documents), tokenizer, numbers, documents, room)
        held_out = None
    else:
        lengths = [sum(map(len, blocks)) for blocks in whole(files, encoding)]
        # In characters, so that every tokenizer trains and validates on the same text.
        end = sum(lengths)
        wanted = max(int(end * (1 - validation_fraction)), end - validation_limit if validation_limit else 0)
        cut = validation_start(files, lengths, encoding, wanted, documents)
        if vocabulary is None:
            _train(tokenizer, part(files, lengths, encoding, 0, cut))
        before, after = both_parts(files, lengths, encoding, cut, documents)
        training = number_tokens(before, tokenizer, numbers, documents, room)
        held_out = number_tokens(after, tokenizer, numbers, documents, room)
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
        counts = count_tokens(training.ids if training.ends is None else training.ids[1:], len(tokens))
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
        validation = read_text(validation_paths, tokenizer, vocabulary, encoding, documents)
    elif held_out is not None and len(held_out.ids):
        validation = _with_vocabulary(held_out, tokens, tokenizer, vocabulary, f"the end of {name}")
    return Corpus(tokenizer, vocabulary, _with_vocabulary(training, tokens, tokenizer, vocabulary, name), validation)


def read_text(
    paths: Sequence[PathLike],
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    encoding: str = "utf-8",
    documents: str = NO_DOCUMENTS,
) -> TokenizedText:
    """Read and tokenize texts with an existing vocabulary.

    Raises:
        TextError: a text cannot be read, or changed while it was read.
    """
    numbers: dict[str, int] = {}
    files = [TextFile.of(path) for path in paths]
    numbered = number_tokens(whole(files, encoding, documents), tokenizer, numbers, documents, len(vocabulary))
    if not len(numbered.ids):
        raise TextError(f"{_names(paths)} holds no text")
    return _with_vocabulary(numbered, list(numbers), tokenizer, vocabulary, _names(paths))


def warn_of_unknown_tokens(text: TokenizedText, mend: str = "") -> None:
    """Warn if tokens of ``text`` are not in the vocabulary: show one of them, and say what that means for the figures.

    Args:
        text: the text that the figures are of.
        mend: advice for the case that so many tokens are unknown that the figures say little.
    """
    if text.first_unknown is None:
        return
    unknown = unknown_in_words(text.name, text.unknown_tokens, len(text) - 1, text.first_unknown)
    if text.unknown_share > MOST_UNKNOWN:
        logger.warning(
            "%s; THE FIGURES ARE FAR TOO GOOD, since all of these count as one token, <unk>, which is easy to predict; "
            "bits per character are withheld%s",
            unknown,
            mend and f"; {mend}",
        )
    else:
        logger.warning("%s; bits per character are not comparable then", unknown)


def _train(tokenizer: Tokenizer, files: Iterable[Iterator[str]]) -> None:
    """Let the tokenizer learn from the text, if it is one that learns."""
    if isinstance(tokenizer, TrainableTokenizer):
        tokenizer.train(itertools.chain.from_iterable(files))


def _with_vocabulary(
    text: NumberedText, tokens: list[str], tokenizer: Tokenizer, vocabulary: Vocabulary, name: str
) -> TokenizedText:
    """Replace the numbers of ``tokens`` by the ids of the vocabulary, in place."""
    ids = text.ids
    counts = count_tokens(ids[1:], len(tokens))
    new_ids = vocabulary.ids(tokens)
    known = np.fromiter((token in vocabulary for token in tokens), dtype=bool, count=len(tokens))
    unknown = np.where(known, 0, counts)
    shown = tokens[int(unknown.argmax())] if unknown.any() else None
    first_characters = 0 if text.ends is not None else len(tokenizer.detokenize([tokens[ids[0]]]))
    for some in _parts(ids):
        some[:] = new_ids[some]
    if text.ends is not None:
        ids[0] = start_id(vocabulary, tokenizer)
    return TokenizedText(ids, text.characters - first_characters, int(unknown.sum()), shown, name, text.ends)


def _parts(ids: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(ids), AT_A_TIME):
        yield ids[start : start + AT_A_TIME]


def _names(paths: Sequence[PathLike]) -> str:
    """Return what messages call a text: the files and folders that were named, or the first of many."""
    named = [path.folder or path if isinstance(path, TextFile) else path for path in paths]
    names = list(dict.fromkeys(os.fspath(path) for path in named))
    if len(names) > MOST_NAMES:
        return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES:,} others"
    return ", ".join(names)
