"""How well a sequence model predicts, both for validation during training and for ``evaluate``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqlm_core.evaluation.scores import (
    ChunkScores,
    Confusion,
    Score,
    accuracy,
    chunk_scores,
    confusion,
    label_scores,
)
from seqlm_core.model.prediction import Predictor
from seqlm_core.sequences.chunk_schemes import are_chunk_labels, scheme_breaks
from seqlm_core.sequences.codecs import LabelCodec, ValueCodec
from seqlm_core.sequences.encoded_sequences import EncodedTargets
from seqlm_core.sequences.examples import NOT_COUNTED, Example, Label


@dataclasses.dataclass(frozen=True)
class LabelEvaluation:
    """How well labels are predicted. There is one prediction for each time step, or for each sequence.

    Attributes:
        nats_per_label: mean loss per label in nats, without labels that were not in the training: these have no
            probability.
        accuracy: share of the predictions that are correct, from 0 to 1; those of labels that were not in the training
            count as wrong.
        labels: precision, recall, F1 and support of each label.
        chunks: the same figures for chunks, if the labels are in a chunk scheme such as BIO; else None.
        confusion: for each true label how often each label is predicted for it.
        scheme_breaks: how often the predicted labels break the scheme of chunks, by how they do it, such as
            ``I-PER after O``; None unless the labels are in such a scheme.
        predictions: number of labels that were predicted.
        unknown_labels: number of these labels that were not in the training.
        unknown_tokens: number of tokens that are not in the vocabulary; 0 for a model that reads values.
    """

    nats_per_label: float
    accuracy: float
    labels: dict[Label, Score]
    chunks: ChunkScores | None
    confusion: Confusion
    scheme_breaks: dict[str, int] | None
    predictions: int
    unknown_labels: int
    unknown_tokens: int

    @property
    def loss(self) -> float:
        """The loss, by which epochs can be compared."""
        return self.nats_per_label

    @property
    def score(self) -> float:
        """F1 of chunks if the labels mark chunks, else the accuracy, from 0 to 1."""
        return self.accuracy if self.chunks is None else self.chunks.f1

    def to_record(self) -> dict[str, float]:
        """Return the figures of a validation that the history keeps, by their names there."""
        record = {"validation_nats_per_label": self.nats_per_label, "validation_accuracy": self.accuracy}
        if self.chunks is not None:
            record["validation_chunk_f1"] = self.chunks.f1
        return record

    def to_json(self) -> dict[str, Any]:
        """Return the figures as values that JSON can hold."""
        values = dataclasses.asdict(self)
        values["labels"] = {str(label): score for label, score in values["labels"].items()}
        values["confusion"] = {
            str(true): {str(label): count for label, count in row.items()} for true, row in self.confusion.items()
        }
        return values


@dataclasses.dataclass(frozen=True)
class ValueEvaluation:
    """How well values are predicted.

    Attributes:
        normalized_squared_error: mean squared error, each channel in units of its variance in the training part. A
            model that always predicts the mean has about 1.
        root_mean_squared_error: root of the mean squared error over all channels, in the units of the values.
        mean_absolute_error: mean absolute error over all channels, in the units of the values.
        predictions: number of time steps that count.
    """

    normalized_squared_error: float
    root_mean_squared_error: float
    mean_absolute_error: float
    predictions: int

    @property
    def loss(self) -> float:
        """The loss, by which epochs can be compared."""
        return self.normalized_squared_error

    def to_record(self) -> dict[str, float]:
        """Return the figures of a validation that the history keeps, by their names there."""
        return {
            "validation_normalized_squared_error": self.normalized_squared_error,
            "validation_root_mean_squared_error": self.root_mean_squared_error,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the figures as values that JSON can hold."""
        return dataclasses.asdict(self)


class SequenceEvaluator:
    """Computes the figures of a model on examples. It can do so again after the weights have changed.

    Args:
        predictor: computes the model's outputs.
        examples: checked examples; at least one target counts.

    Attributes:
        targets: the targets, of which those count that the model knows.
    """

    def __init__(self, predictor: Predictor, examples: Sequence[Example]) -> None:
        self._predictor = predictor
        self._examples = examples
        self._read = predictor.encoded([inputs for inputs, _ in examples])
        wanted = [target for _, target in examples]
        self.targets = EncodedTargets.of(wanted, predictor.architecture.outputs, predictor.output_codec)

    @property
    def predictions(self) -> int:
        """The number of targets that count, including labels that were not in the training."""
        outputs = self._predictor.architecture.outputs
        if outputs == "labels":
            return sum(label is not NOT_COUNTED for _, row in self._examples for label in row)
        return len(self._examples) if outputs == "label" else self.targets.predictions

    def evaluate(self) -> LabelEvaluation | ValueEvaluation:
        """Return the figures with the network's current weights."""
        outputs, codec = self._predictor.outputs(self._read), self._predictor.output_codec
        if isinstance(codec, ValueCodec):
            return self._evaluate_values(outputs, codec)
        return self._evaluate_labels(outputs, codec)

    def _has_chunks(self, codec: LabelCodec) -> bool:
        return self._predictor.architecture.outputs == "labels" and are_chunk_labels(codec.labels)

    def _evaluate_values(self, outputs: list[np.ndarray], codec: ValueCodec) -> ValueEvaluation:
        predicted, true, known = map(np.concatenate, (outputs, self.targets.values, self.targets.counted))
        errors = (predicted[known] - true[known]).astype(np.float64)
        own_units = errors * codec.scale
        return ValueEvaluation(
            normalized_squared_error=float(np.square(errors).mean()),
            root_mean_squared_error=math.sqrt(np.square(own_units).mean()),
            mean_absolute_error=float(np.abs(own_units).mean()),
            predictions=self.predictions,
        )

    def _evaluate_labels(self, outputs: list[np.ndarray], codec: LabelCodec) -> LabelEvaluation:
        scores = [np.atleast_2d(rows) for rows in outputs]
        targets = [np.atleast_1d(np.where(known, ids, -1)) for ids, known in zip(*self.targets)]
        decoder = self._predictor.decoder
        total = decoder.nats(scores, targets)
        true = [list(wanted) if isinstance(wanted, list) else [wanted] for _, wanted in self._examples]
        best = decoder.best(scores)
        predicted = [codec.decode(ids) for ids in best]
        return LabelEvaluation(
            # With rounding, the log-probability of an almost certain label can be above 0.
            nats_per_label=max(0.0, total / max(1, self.targets.predictions)),
            accuracy=accuracy(true, predicted),
            labels=label_scores(true, predicted),
            chunks=chunk_scores(true, predicted) if self._has_chunks(codec) else None,
            confusion=confusion(true, predicted),
            scheme_breaks=scheme_breaks(codec.labels, best) if self._has_chunks(codec) else None,
            predictions=self.predictions,
            unknown_labels=self.predictions - self.targets.predictions,
            unknown_tokens=self._read.unknown_tokens,
        )
