"""Batches of sequences of unequal lengths. Sequences are grouped by length, so that few shapes come up, and padded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from seqlm_core.engine.randomness import generator
from seqlm_core.sequences.encoded_sequences import EncodedSequences

SHORTEST_GROUP = 8
GROWTH = 1.25


@dataclasses.dataclass(frozen=True)
class Batch:
    """Sequences side by side, padded at their ends.

    Attributes:
        indices: the indices of the sequences. There may be more columns than sequences; nothing in such columns counts.
        inputs: ``[values (time, columns, channels)]``; or ``[tokens (time, columns)]``, followed by the ids of each
            further column of the tokens, of the same shape; by the vectors of each source, ``(time, columns, size)``;
            and, if characters are read, by ``(time, columns, LONGEST_SPELLING)`` and their counts ``(time, columns)``.
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
        inputs = [array[:, columns] for array in self.inputs]
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

        inputs = [beside([arrays[i] for i in indices]) for arrays in (sequences.inputs, *sequences.columns)]
        inputs += [vectors.beside(indices, time, columns) for vectors in sequences.vectors]
        if sequences.spellings is not None:
            spellings = sequences.spellings
            tokens = beside([spellings.tokens[i] for i in indices])
            inputs += [spellings.characters[tokens], spellings.counts[tokens]]
        lengths = np.ones(columns, dtype=np.int32)
        lengths[: len(indices)] = [len(sequences.inputs[i]) for i in indices]
        targets = counted = None
        if sequences.targets is not None:
            wanted = [sequences.targets.values[i] for i in indices]
            known = [sequences.targets.counted[i] for i in indices]
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


def group_by_length(lengths: np.ndarray, batch_size: int, *, to_longest: bool = True) -> list[Group]:
    """Group sequences by length, so that there is little padding and there are few shapes.

    Each shape needs a graph of its own. The lengths of the groups grow by a quarter from one to the next. A group that
    does not fill a batch is joined with the next longer one. Empty sequences are in no group.

    Args:
        lengths: the number of time steps of each sequence.
        batch_size: the most sequences in a batch.
        to_longest: whether the last group is padded to its longest sequence, and not to a length that others share.
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
                groups.append(Group(indices, min(limit, longest) if to_longest else limit))
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
        if sequences.targets is None:
            raise TypeError("the sequences have no targets")
        self.sequences, self._targets = sequences, sequences.targets
        counting = np.array([known.any() for known in self._targets.counted], dtype=bool)
        self.groups = group_by_length(np.where(counting, sequences.lengths, 0), batch_size)
        # As few batches as possible, of nearly equal sizes, so that few columns stay empty.
        self._batches = [-(-len(group.indices) // batch_size) for group in self.groups]
        self._columns = [-(-len(group.indices) // batches) for group, batches in zip(self.groups, self._batches)]

    def __len__(self) -> int:
        return sum(self._batches)

    @property
    def predictions(self) -> int:
        """The number of targets of an epoch that count."""
        return self._targets.predictions

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
    for group in group_by_length(sequences.lengths, batch_size, to_longest=False):
        # Powers of two, and times that do not depend on the longest sequence, so that few shapes come up.
        columns = min(batch_size, 1 << (len(group.indices) - 1).bit_length())
        for start in range(0, len(group.indices), columns):
            yield Batch.of(sequences, group.indices[start : start + columns], group.time, columns)
