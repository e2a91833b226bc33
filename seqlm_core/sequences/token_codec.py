"""The codec of tokens: their ids, and those of their characters, shapes and further columns."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seqlm_core.errors import UsageError
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.sequences.given_vectors import VectorSource
from seqlm_core.sequences.tokens import Token, count_columns, further_columns, texts_of
from seqlm_core.storage.schema import FLAG, OBJECT, check, optional

_RUN = re.compile(r"(.)\1+", re.DOTALL)


def shape_of(text: str) -> str:
    """Return how a token is written: ``X`` for capitals, ``x`` for other letters, ``d`` for digits, and the rest as is.

    Of the same in a row two are kept, so ``London`` is ``Xxx``, ``IBM`` is ``XX``, and ``1,250.5`` is ``d,dd.d``.
    """
    return _RUN.sub(r"\1\1", "".join(map(_shape_of_character, text)))


def _shape_of_character(character: str) -> str:
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return "d" if character.isdigit() else character


@dataclasses.dataclass(frozen=True)
class TokenCodec:
    """Turns tokens into ids, and into ids of what else a model reads of them.

    Attributes:
        vocabulary: the vocabulary of the tokens.
        characters: the vocabulary of their characters; None if the model does not read characters.
        columns: the vocabulary of each further column.
        shapes: the vocabulary of the shapes of tokens, see :func:`shape_of`; None if the model does not read them.
        lowercase: whether the tokens of the vocabulary are in small letters. Characters and shapes are never changed.
        sources: what gives vectors to tokens. They are not part of what :meth:`to_json` returns.
    """

    vocabulary: Vocabulary
    characters: Vocabulary | None = None
    columns: tuple[Vocabulary, ...] = ()
    shapes: Vocabulary | None = None
    lowercase: bool = False
    sources: tuple[VectorSource, ...] = ()

    @classmethod
    def from_sequences(
        cls,
        sequences: Sequence[Sequence[Token]],
        min_count: int,
        max_vocabulary: int,
        by_characters: bool,
        *,
        shapes: bool = False,
        lowercase: bool = False,
        sources: tuple[VectorSource, ...] = (),
    ) -> TokenCodec:
        """Return the codec for the tokens of the training part.

        Args:
            sequences: sequences of tokens.
            min_count: the fewest occurrences of a token in the vocabulary. If no token occurs so often, all are kept.
            max_vocabulary: the most tokens to keep; 0 keeps all.
            by_characters: whether the model reads the characters of tokens too.
            shapes: whether it reads their shapes.
            lowercase: whether it reads tokens as a whole in small letters.
            sources: what gives vectors to tokens.
        """
        texts = collections.Counter(text for sequence in sequences for text in texts_of(sequence))
        counts = texts
        if lowercase:
            counts = collections.Counter()
            for text, count in texts.items():
                counts[text.lower()] += count
        if max(counts.values()) < min_count:
            min_count = 1
        characters: collections.Counter[str] = collections.Counter()
        written: collections.Counter[str] = collections.Counter()
        for text, count in texts.items():
            for character in text if by_characters else ():
                characters[character] += count
            if shapes:
                written[shape_of(text)] += count
        columns: list[collections.Counter[str]] = [
            collections.Counter() for _ in range(max(map(count_columns, sequences)))
        ]
        for sequence in sequences:
            for counter, column in zip(columns, further_columns(sequence)):
                counter.update(column)
        return cls(
            Vocabulary.from_counts(counts, min_count, max_vocabulary),
            Vocabulary.from_counts(characters) if characters else None,
            tuple(map(Vocabulary.from_counts, columns)),
            Vocabulary.from_counts(written) if shapes else None,
            lowercase,
            sources,
        )

    @property
    def size(self) -> int:
        """The number of tokens, including ``<unk>``."""
        return len(self.vocabulary)

    @property
    def column_sizes(self) -> tuple[int, ...]:
        """The number of entries of each column that :meth:`encode_columns` returns, including the unknown one."""
        return tuple(map(len, self._column_vocabularies))

    @property
    def _column_vocabularies(self) -> tuple[Vocabulary, ...]:
        return self.columns if self.shapes is None else (*self.columns, self.shapes)

    def encode(self, tokens: Sequence[Token]) -> np.ndarray:
        """Return the ids of tokens, int32 ``(time,)``. Tokens that are not in the vocabulary have the id 0."""
        texts = texts_of(tokens)
        return self.vocabulary.ids(map(str.lower, texts) if self.lowercase else texts)

    def encode_columns(self, tokens: Sequence[Token]) -> list[np.ndarray]:
        """Return the ids of each further column, and of the shapes if they are read, int32 ``(time,)`` each."""
        if not tokens:
            return [np.zeros(0, np.int32) for _ in self._column_vocabularies]
        columns = further_columns(tokens)
        if self.shapes is not None:
            columns.append([shape_of(text) for text in texts_of(tokens)])
        return [vocabulary.ids(column) for vocabulary, column in zip(self._column_vocabularies, columns)]

    def check(self, sequences: Iterable[Sequence[Token]]) -> None:
        """Raise :class:`UsageError` unless the tokens of all sequences have the columns that the model reads."""
        for sequence in sequences:
            found = count_columns(sequence)
            if sequence and found != len(self.columns):
                raise UsageError(
                    f"the model reads {_in_words(len(self.columns))} of each token, and {found or 'none'} "
                    f"{'is' if found < 2 else 'are'} given: set `columns` as in the training"
                )

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` makes the same codec, without its sources."""

        def plain(vocabulary: Vocabulary | None) -> dict[str, Any] | None:
            return None if vocabulary is None else vocabulary.to_json()

        return {
            "vocabulary": plain(self.vocabulary),
            "characters": plain(self.characters),
            "columns": list(map(plain, self.columns)),
            "shapes": plain(self.shapes),
            "lowercase": self.lowercase,
        }

    @classmethod
    def from_json(cls, values: Any) -> TokenCodec:
        """Make the codec from what :meth:`to_json` returned. Anything else raises ``ValueError``.

        Runs of earlier versions have no columns, shapes or small letters.
        """
        described = {
            "vocabulary": OBJECT,
            "characters": optional(OBJECT),
            "columns?": [OBJECT],
            "shapes?": optional(OBJECT),
            "lowercase?": FLAG,
        }
        check(values, described, "the codec of tokens")

        def read(vocabulary: Any) -> Vocabulary | None:
            return None if vocabulary is None else Vocabulary.from_json(vocabulary)

        return cls(
            Vocabulary.from_json(values["vocabulary"]),
            read(values["characters"]),
            tuple(map(Vocabulary.from_json, values.get("columns", []))),
            read(values.get("shapes")),
            values.get("lowercase", False),
        )


def _in_words(columns: int) -> str:
    if columns == 0:
        return "no further column"
    return "1 further column" if columns == 1 else f"{columns} further columns"
