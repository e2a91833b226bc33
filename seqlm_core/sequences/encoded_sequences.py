"""Sequences as arrays for the network: ids and vectors of tokens or values, and their targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.reading.vocabulary import UNKNOWN_ID
from seqlm_core.sequences.codecs import UNKNOWN_LABEL, Codecs, LabelCodec, ValueCodec
from seqlm_core.sequences.examples import Example
from seqlm_core.sequences.given_vectors import GivenVectors, VectorSource
from seqlm_core.sequences.token_codec import TokenCodec
from seqlm_core.sequences.tokens import texts_of

# The most characters of a token that are read. Of a longer token its beginning and its end are read, half of this each.
LONGEST_SPELLING = 16


@dataclasses.dataclass(frozen=True)
class Spellings:
    """The characters of the distinct tokens of some sequences.

    Attributes:
        characters: ids, int32 ``(distinct tokens, LONGEST_SPELLING)``. Of a longer token, the first and the last
            characters are here.
        counts: for each distinct token, the number of its characters that are here, at least 1.
        tokens: for each sequence, the row of each of its tokens in ``characters``, int32 ``(time,)``.
    """

    characters: np.ndarray
    counts: np.ndarray
    tokens: list[np.ndarray]

    @classmethod
    def of(cls, sequences: Sequence[Sequence[str]], codec: TokenCodec) -> Spellings:
        """Return the spellings of the tokens of sequences."""
        if codec.characters is None:
            raise TypeError("the codec has no characters")
        numbers: dict[str, int] = {}
        tokens = [
            np.array([numbers.setdefault(token, len(numbers)) for token in sequence], dtype=np.int32)
            for sequence in sequences
        ]
        beginning = LONGEST_SPELLING // 2
        characters = np.zeros((len(numbers), LONGEST_SPELLING), dtype=np.int32)
        counts = np.ones(len(numbers), dtype=np.int32)
        for row, token in enumerate(numbers):
            read = token
            if len(token) > LONGEST_SPELLING:
                read = token[:beginning] + token[beginning - LONGEST_SPELLING :]
            characters[row, : len(read)] = codec.characters.ids(read)
            counts[row] = max(1, len(read))
        return cls(characters, counts, tokens)


class EncodedTargets(NamedTuple):
    """Targets of sequences as arrays.

    Attributes:
        values: labels, int32 ``(time,)``; values, float32 ``(time, channels)``; or one label for the sequence, int32
            ``()``.
        counted: which of them count, bool ``(time,)`` or ``()``.
    """

    values: list[np.ndarray]
    counted: list[np.ndarray]

    @classmethod
    def of(cls, targets: Sequence[Any], outputs: str, codec: LabelCodec | ValueCodec) -> EncodedTargets:
        """Encode targets that have been checked. Those that the model does not know are not counted."""
        encoded = cls([], [])
        for target in targets:
            if isinstance(codec, ValueCodec):
                values = codec.encode(target)
                known = ~np.isnan(values).any(axis=1)
                encoded.values.append(np.where(known[:, None], values, np.float32(0)))
            else:
                ids = codec.encode([target])[0] if outputs == "label" else codec.encode(target)
                known = ids != UNKNOWN_LABEL
                encoded.values.append(np.where(known, ids, 0).astype(np.int32))
            encoded.counted.append(np.asarray(known))
        return encoded

    @property
    def predictions(self) -> int:
        """The number of targets that count."""
        return sum(int(known.sum()) for known in self.counted)


@dataclasses.dataclass(frozen=True)
class EncodedSequences:
    """Sequences as arrays for the network, with their targets if there are any.

    Attributes:
        inputs: ids of tokens, int32 ``(time,)``; or values, float32 ``(time, channels)``.
        targets: the targets; None if the sequences are only to be predicted.
        spellings: the characters of the tokens; None if the model does not read them.
        columns: of each further column the ids of the tokens, int32 ``(time,)`` for each sequence.
        vectors: the vectors of the tokens that each source gives.
    """

    inputs: list[np.ndarray]
    targets: EncodedTargets | None = None
    spellings: Spellings | None = None
    columns: Sequence[list[np.ndarray]] = ()
    vectors: Sequence[GivenVectors] = ()

    @classmethod
    def of_inputs(
        cls, inputs: Sequence[Any], codecs: Codecs, vectors: dict[VectorSource, GivenVectors] | None = None
    ) -> EncodedSequences:
        """Encode inputs that have been checked.

        Args:
            inputs: the inputs.
            codecs: the model's codecs.
            vectors: what sources have given to the same tokens already, which they are not asked for again. What others
                give is added.

        Raises:
            UsageError: tokens have other columns than the model reads.
        """
        codec = codecs.inputs
        ids = [codec.encode(sequence) for sequence in inputs]
        if not isinstance(codec, TokenCodec):
            return cls(ids)
        codec.check(inputs)
        texts = [texts_of(sequence) for sequence in inputs]
        of_each = [codec.encode_columns(sequence) for sequence in inputs]
        given = {} if vectors is None else vectors
        for source in codec.sources:
            if source not in given:
                given[source] = source.of(texts)
        return cls(
            ids,
            spellings=None if codec.characters is None else Spellings.of(texts, codec),
            columns=[[found[i] for found in of_each] for i in range(len(codec.column_sizes))],
            vectors=[given[source] for source in codec.sources],
        )

    @classmethod
    def of_examples(cls, examples: Sequence[Example], outputs: str, codecs: Codecs) -> EncodedSequences:
        """Encode examples that have been checked. Targets that the model does not know are not counted."""
        read = cls.of_inputs([sequence for sequence, _ in examples], codecs)
        targets = EncodedTargets.of([target for _, target in examples], outputs, codecs.outputs)
        return dataclasses.replace(read, targets=targets)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> np.ndarray:
        """The number of time steps of each sequence."""
        return np.array([len(sequence) for sequence in self.inputs], dtype=np.int64)

    @property
    def unknown_tokens(self) -> int:
        """The number of tokens that are not in the vocabulary; 0 if the inputs are values."""
        return sum(int((ids == UNKNOWN_ID).sum()) for ids in self.inputs if ids.dtype == np.int32)
