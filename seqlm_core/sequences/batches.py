"""Batches of sequences of unequal lengths. Sequences are grouped by length, so that few shapes come up, and padded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqlm_core.engine.randomness import generator
from seqlm_core.reading.vocabulary import UNKNOWN_ID
from seqlm_core.sequences.codecs import UNKNOWN_LABEL, Codecs, TokenCodec, ValueCodec
from seqlm_core.sequences.examples import Example

SHORTEST_GROUP = 8
GROWTH = 1.25
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


@dataclasses.dataclass(frozen=True)
class EncodedSequences:
    """Sequences as arrays for the network, with their targets if there are any.

    Attributes:
        inputs: ids of tokens, int32 ``(time,)``; or values, float32 ``(time, channels)``.
        targets: labels, int32 ``(time,)``; values, float32 ``(time, channels)``; or one label for the sequence, int32
            ``()``. None if the sequences are only to be predicted.
        counted: which targets count, bool ``(time,)`` or ``()``; None without targets.
        spellings: the characters of the tokens; None if the model does not read them.
    """

    inputs: list[np.ndarray]
    targets: list[np.ndarray] | None = None
    counted: list[np.ndarray] | None = None
    spellings: Spellings | None = None

    @classmethod
    def of_inputs(cls, inputs: Sequence[Any], codecs: Codecs) -> EncodedSequences:
        """Encode inputs that have been checked."""
        codec = codecs.inputs
        spellings = None
        if isinstance(codec, TokenCodec) and codec.characters is not None:
            spellings = Spellings.of(inputs, codec)
        return cls([codec.encode(sequence) for sequence in inputs], spellings=spellings)

    @classmethod
    def of_examples(cls, examples: Sequence[Example], outputs: str, codecs: Codecs) -> EncodedSequences:
        """Encode examples that have been checked. Targets that the model does not know are not counted."""
        read = cls.of_inputs([sequence for sequence, _ in examples], codecs)
        codec = codecs.outputs
        targets, counted = [], []
        for _, target in examples:
            if isinstance(codec, ValueCodec):
                values = codec.encode(target)
                known = ~np.isnan(values).any(axis=1)
                targets.append(np.where(known[:, None], values, np.float32(0)))
            else:
                ids = codec.encode([target])[0] if outputs == "label" else codec.encode(target)
                known = ids != UNKNOWN_LABEL
                targets.append(np.where(known, ids, 0).astype(np.int32))
            counted.append(np.asarray(known))
        return dataclasses.replace(read, targets=targets, counted=counted)

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

    @property
    def predictions(self) -> int:
        """The number of targets that count."""
        return sum(int(known.sum()) for known in self.counted or ())


@dataclasses.dataclass(frozen=True)
class Batch:
    """Sequences side by side, padded at their ends.

    Attributes:
        indices: the indices of the sequences. There may be more columns than sequences; nothing in such columns counts.
        inputs: ``[tokens (time, columns)]`` or ``[values (time, columns, channels)]``. If characters are read,
            ``[tokens, characters (LONGEST_SPELLING, time * columns), character counts (time * columns,)]``.
        lengths: the number of time steps of each column, at least 1, int32 ``(columns,)``.
        targets: ``(time, columns, ...)`` or ``(columns,)``; None without targets.
        counted: 1 where a target counts and 0 elsewhere, float32 ``(time, columns)`` or ``(columns,)``; None without
            targets.
    """

    indices: np.ndarray
    inputs: list[np.ndarray]
    lengths: np.ndarray
    targets: np.ndarray | None
    counted: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of time steps and columns."""
        time, columns = self.inputs[0].shape[:2]
        return time, columns

    @property
    def predictions(self) -> int:
        """The number of targets that count."""
        return 0 if self.counted is None else int(self.counted.sum())

    def part(self, columns: slice) -> Batch:
        """Return some of the columns, as a batch of its own. Of none it is a column in which nothing counts."""
        if columns.start == columns.stop:
            first = self.part(slice(0, 1))
            return dataclasses.replace(first, counted=None if first.counted is None else np.zeros_like(first.counted))
        time, count = self.shape
        tokens, *spelled = self.inputs
        inputs = [tokens[:, columns]]
        for array in spelled:  # whose last axis is that of all time steps and columns
            by_place = array.reshape(*array.shape[:-1], time, count)[..., columns]
            inputs.append(np.ascontiguousarray(by_place.reshape(*array.shape[:-1], -1)))
        targets, counted = (
            None if array is None else array[..., columns] if array.ndim == 1 else array[:, columns]
            for array in (self.targets, self.counted)
        )
        return Batch(self.indices[columns], inputs, self.lengths[columns], targets, counted)

    @classmethod
    def of(cls, sequences: EncodedSequences, indices: np.ndarray, time: int, columns: int) -> Batch:
        """Put some of the sequences side by side.

        Args:
            sequences: the sequences to choose from.
            indices: the indices of those that are chosen.
            time: the number of time steps to pad to.
            columns: the number of columns, at least the number of indices.
        """

        def beside(parts: list[np.ndarray]) -> np.ndarray:
            padded = np.zeros((time, columns, *parts[0].shape[1:]), parts[0].dtype)
            for column, part in enumerate(parts):
                padded[: len(part), column] = part
            return padded

        inputs = [beside([sequences.inputs[i] for i in indices])]
        if sequences.spellings is not None:
            spellings = sequences.spellings
            tokens = beside([spellings.tokens[i] for i in indices]).ravel()
            inputs += [np.ascontiguousarray(spellings.characters[tokens].T), spellings.counts[tokens]]
        lengths = np.ones(columns, dtype=np.int32)
        lengths[: len(indices)] = [len(sequences.inputs[i]) for i in indices]
        targets = counted = None
        if sequences.targets is not None and sequences.counted is not None:
            wanted = [sequences.targets[i] for i in indices]
            known = [sequences.counted[i] for i in indices]
            if known[0].ndim:
                targets, counted = beside(wanted), beside(known).astype(np.float32)
            else:
                targets, counted = np.zeros(columns, dtype=np.int32), np.zeros(columns, dtype=np.float32)
                targets[: len(indices)], counted[: len(indices)] = wanted, known
        return cls(indices, inputs, lengths, targets, counted)


@dataclasses.dataclass(frozen=True)
class Group:
    """Sequences of similar length.

    Attributes:
        indices: the indices of the sequences.
        time: the number of time steps that they are padded to.
    """

    indices: np.ndarray
    time: int


def group_by_length(lengths: np.ndarray, batch_size: int) -> list[Group]:
    """Group sequences by length, so that there is little padding and there are few shapes.

    Each shape needs a graph of its own. The lengths of the groups grow by a quarter from one to the next. A group that
    does not fill a batch is joined with the next longer one. Empty sequences are in no group.

    Args:
        lengths: the number of time steps of each sequence.
        batch_size: the most sequences in a batch.
    """
    longest = int(lengths.max(initial=0))
    groups: list[Group] = []
    waiting: list[np.ndarray] = []
    shorter, limit = 0, SHORTEST_GROUP
    while shorter < longest:
        waiting.append(np.flatnonzero((shorter < lengths) & (lengths <= limit)))
        if sum(map(len, waiting)) >= batch_size or limit >= longest:
            indices = np.sort(np.concatenate(waiting))
            if len(indices):
                groups.append(Group(indices, min(limit, longest)))
            waiting = []
        shorter, limit = limit, int(np.ceil(limit * GROWTH))
    return groups


class TrainingBatches:
    """The batches of each epoch. The groups stay the same, and the order of their sequences is drawn for each epoch.

    Args:
        sequences: sequences with targets. Those without a target that counts are left out.
        batch_size: the most sequences in a batch.
    """

    def __init__(self, sequences: EncodedSequences, batch_size: int) -> None:
        self.sequences = sequences
        counting = np.array([known.any() for known in sequences.counted or ()], dtype=bool)
        self.groups = group_by_length(np.where(counting, sequences.lengths, 0), batch_size)
        # As few batches as possible, of nearly equal sizes, so that few columns stay empty.
        self._batches = [-(-len(group.indices) // batch_size) for group in self.groups]
        self._columns = [-(-len(group.indices) // batches) for group, batches in zip(self.groups, self._batches)]

    def __len__(self) -> int:
        return sum(self._batches)

    def read(self, seed: int, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, beginning with batch ``first``. Their order is drawn for each epoch."""
        random = generator(seed, epoch, "order of sequences")
        parts = []
        for group, batches, columns in zip(self.groups, self._batches, self._columns):
            shuffled = random.permutation(group.indices)
            parts += [(part, group.time, columns) for part in np.array_split(shuffled, batches)]
        for place in random.permutation(len(parts))[first:]:
            indices, time, columns = parts[place]
            yield Batch.of(self.sequences, indices, time, columns)


def batches_in_order(sequences: EncodedSequences, batch_size: int) -> Iterator[Batch]:
    """Yield batches that hold each sequence once. Empty sequences are left out."""
    for group in group_by_length(sequences.lengths, batch_size):
        # A power of two, so that few shapes come up for any number of sequences.
        columns = min(batch_size, 1 << (len(group.indices) - 1).bit_length())
        for start in range(0, len(group.indices), columns):
            yield Batch.of(sequences, group.indices[start : start + columns], group.time, columns)
