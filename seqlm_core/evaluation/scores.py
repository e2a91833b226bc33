"""How well labels are predicted: accuracy, and precision, recall and F1 of labels and of chunks."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional, TypeVar

from seqlm_core.sequences.chunk_schemes import CHUNK_LABEL
from seqlm_core.sequences.examples import Label

Name = TypeVar("Name", bound=Label)
TrueLabels = Sequence[Sequence[Optional[Label]]]
"""The true labels of each sequence; None stands for a label that is not counted."""
PredictedLabels = Sequence[Sequence[Label]]
Confusion = dict[Label, dict[Label, int]]
"""For each true label how often each label is predicted for it."""


@dataclasses.dataclass(frozen=True)
class Score:
    """How well one label, or one type of chunk, is predicted.

    Attributes:
        precision: the share of the predicted ones that are true, from 0 to 1; 0 if none are predicted.
        recall: the share of the true ones that are predicted, from 0 to 1; 0 if there are none.
        f1: the harmonic mean of precision and recall (van Rijsbergen, Information Retrieval, 1979); 0 if both are 0.
        support: the number of true ones.
    """

    precision: float
    recall: float
    f1: float
    support: int

    @classmethod
    def from_counts(cls, correct: int, predicted: int, true: int) -> Score:
        """Return the score from the numbers of correctly predicted, of predicted, and of true ones."""
        return cls(
            precision=_ratio(correct, predicted),
            recall=_ratio(correct, true),
            f1=_ratio(2 * correct, predicted + true),
            support=true,
        )


@dataclasses.dataclass(frozen=True)
class ChunkScores:
    """How well chunks are predicted.

    Attributes:
        precision: the share of the predicted chunks that are true, over all types (a micro average).
        recall: the share of the true chunks that are predicted, over all types.
        f1: the harmonic mean of precision and recall.
        support: the number of true chunks.
        types: the score of each type of chunk that is true or predicted at least once, sorted by type.
    """

    precision: float
    recall: float
    f1: float
    support: int
    types: dict[str, Score]


def accuracy(true: TrueLabels, predicted: PredictedLabels) -> float:
    """Return the share of the labels that are predicted correctly, from 0 to 1; 0 if no label counts.

    All labels have the same weight, so a long sequence has more weight than a short one.

    Args:
        true: the true labels of each sequence; None stands for a label that is not counted.
        predicted: the predicted labels, one for each true label.

    Raises:
        ValueError: the numbers of predicted and true labels differ.
    """
    pairs = _counted_pairs(true, predicted)
    return _ratio(sum(1 for true_label, label in pairs if true_label == label), len(pairs))


def label_scores(true: TrueLabels, predicted: PredictedLabels) -> dict[Label, Score]:
    """Return the score of each label that is true or predicted at least once, sorted by the label as a string.

    Args:
        true: the true labels of each sequence; None stands for a label that is not counted.
        predicted: the predicted labels, one for each true label.

    Raises:
        ValueError: the numbers of predicted and true labels differ.
    """
    pairs = _counted_pairs(true, predicted)
    return _scores(
        correct=Counter(label for true_label, label in pairs if true_label == label),
        predicted=Counter(label for _, label in pairs),
        true=Counter(true_label for true_label, _ in pairs),
    )


def confusion(true: TrueLabels, predicted: PredictedLabels) -> Confusion:
    """Return how often each label is predicted for each true one, the most frequent first, without what never occurs.

    Args:
        true: the true labels of each sequence; None stands for a label that is not counted.
        predicted: the predicted labels, one for each true label.

    Raises:
        ValueError: the numbers of predicted and true labels differ.
    """
    counts: dict[Label, Counter[Label]] = {}
    for true_label, label in _counted_pairs(true, predicted):
        counts.setdefault(true_label, Counter())[label] += 1
    order = sorted(counts, key=lambda label: (-sum(counts[label].values()), str(label)))
    return {label: dict(sorted(counts[label].items(), key=lambda item: (-item[1], str(item[0])))) for label in order}


def chunk_scores(true: TrueLabels, predicted: PredictedLabels) -> ChunkScores:
    """Return how well chunks are predicted.

    A chunk is marked by consecutive labels: ``B-PER I-PER`` is one chunk of type PER (Ramshaw and Marcus, Text Chunking
    Using Transformation-Based Learning, 1995). ``I-`` and ``E-`` continue the chunk before them if it has the same type
    and its last label is ``B-`` or ``I-``. Every other label except ``O`` begins a chunk, so labels that violate the
    scheme are not lost. A predicted chunk is correct if a true chunk has the same type, first and last position. This
    is the scoring of the CoNLL shared tasks (Tjong Kim Sang and Buchholz, Introduction to the CoNLL-2000 Shared Task:
    Chunking, 2000), and that of the library seqeval without its strict mode.

    Args:
        true: the true labels of each sequence. None stands for a label that is not counted: both labels count as ``O``.
        predicted: the predicted labels, one for each true label; those that are no chunk labels count as ``O``.

    Raises:
        ValueError: the numbers of predicted and true labels differ.
    """
    pairs = list(_paired(true, predicted))
    true_chunks = _chunks(true_labels for true_labels, _ in pairs)
    predicted_chunks = _chunks(
        [None if true_label is None else label for true_label, label in zip(*pair)] for pair in pairs
    )
    correct_chunks = true_chunks & predicted_chunks
    total = Score.from_counts(len(correct_chunks), len(predicted_chunks), len(true_chunks))
    types = _scores(
        correct=Counter(chunk.type for chunk in correct_chunks),
        predicted=Counter(chunk.type for chunk in predicted_chunks),
        true=Counter(chunk.type for chunk in true_chunks),
    )
    return ChunkScores(total.precision, total.recall, total.f1, total.support, types)


class _Chunk(NamedTuple):
    """A chunk: the number of its sequence, its type, and its first and its last position."""

    sequence: int
    type: str
    first: int
    last: int


def _chunks(sequences: Iterable[Sequence[Label | None]]) -> set[_Chunk]:
    """Return the chunks that the labels of sequences mark; labels that are no chunk labels count as ``O``."""
    found: list[_Chunk] = []
    for number, labels in enumerate(sequences):
        continued = None  # the type of the chunk that the next label can continue
        for position, label in enumerate(labels):
            match = CHUNK_LABEL.fullmatch(str(label))
            if match is None:
                continued = None
                continue
            prefix, kind = match.groups()
            if prefix in "IE" and kind == continued:
                found[-1] = found[-1]._replace(last=position)
            else:
                found.append(_Chunk(number, kind, position, position))
            continued = kind if prefix in "BI" else None
    return set(found)


def _paired(true: TrueLabels, predicted: PredictedLabels) -> Iterator[tuple[Sequence[Label | None], Sequence[Label]]]:
    """Yield the true and the predicted labels of each sequence, and check that their numbers are equal."""
    if len(true) != len(predicted):
        raise ValueError(f"there are {len(true)} sequences of true labels and {len(predicted)} of predicted ones")
    for index, (true_labels, labels) in enumerate(zip(true, predicted)):
        if len(true_labels) != len(labels):
            raise ValueError(f"sequence {index} has {len(true_labels)} true labels and {len(labels)} predicted ones")
        yield true_labels, labels


def _counted_pairs(true: TrueLabels, predicted: PredictedLabels) -> list[tuple[Label, Label]]:
    """Return each true label that is counted, together with the predicted one."""
    return [
        (true_label, label)
        for pair in _paired(true, predicted)
        for true_label, label in zip(*pair)
        if true_label is not None
    ]


def _scores(correct: Counter[Name], predicted: Counter[Name], true: Counter[Name]) -> dict[Name, Score]:
    """Return the score of each name that was counted, sorted by the name as a string."""
    names = sorted(predicted.keys() | true.keys(), key=str)
    return {name: Score.from_counts(correct[name], predicted[name], true[name]) for name in names}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
