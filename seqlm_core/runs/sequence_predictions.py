"""What a sequence model predicts: labels, their probabilities, values, and how good they are."""

from __future__ import annotations

import abc
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.errors import UsageError
from seqlm_core.evaluation.sequences import LabelEvaluation, SequenceEvaluator, ValueEvaluation
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.model.prediction import Predictor
from seqlm_core.sequences.codecs import LabelCodec, ValueCodec
from seqlm_core.sequences.examples import Label, check_examples, check_inputs

logger = logging.getLogger("seqlm")


class LabelSequence(NamedTuple):
    """A sequence of labels.

    Attributes:
        labels: a label for each time step.
        log_probability: the logarithm of the probability of all of them together, in nats.
    """

    labels: list[Label]
    log_probability: float


class Labelling(NamedTuple):
    """How a sequence is labelled.

    Attributes:
        best: the most probable sequences of labels, the best first.
        probabilities: the probability of each of the model's labels at each time step, ``(time, labels)``; None if they
            were not asked for.
    """

    best: list[LabelSequence]
    probabilities: np.ndarray | None


class SequencePredictions(abc.ABC):
    """Predictions of a sequence model, or of several together."""

    architecture: SequenceArchitecture

    @property
    @abc.abstractmethod
    def _name(self) -> str:
        """What messages call the model."""

    @property
    @abc.abstractmethod
    def _output_codec(self) -> LabelCodec | ValueCodec:
        """The codec of the outputs, which is known before anything is computed."""

    @property
    @abc.abstractmethod
    def _predictor(self) -> Predictor:
        """What computes the model's outputs."""

    @abc.abstractmethod
    def expect(self, time_steps: int) -> None:
        """Say how many time steps will be read in all, before any is read.

        If they are few, they are read without MXNet, whose import would take longer than all else. Predictions are the
        same within rounding.
        """

    @property
    def labels(self) -> list[Label]:
        """The labels that the model knows, in the order of :meth:`probabilities`."""
        return list(self._label_codec.labels)

    def predict(self, sequences: Iterable[Any]) -> list[Any]:
        """Return what the model predicts for each sequence.

        Args:
            sequences: lists of tokens, or arrays of values ``(time, channels)`` or ``(time,)``.

        Returns:
            For each sequence a list with the most probable label of each time step; or its most probable label; or
            an array of its values ``(time, channels)``, or ``(time,)`` if there is a single channel.

        Raises:
            UsageError: a sequence is not of the model's kind, or is empty while one label is to be predicted for it.
        """
        outputs = self._outputs(sequences)
        codec = self._output_codec
        if isinstance(codec, ValueCodec):
            values = [codec.decode(array) for array in outputs]
            return [array[:, 0] for array in values] if codec.size == 1 else values
        if self.architecture.outputs == "label":
            return [codec.labels[array.argmax()] for array in outputs]
        return [codec.decode(ids) for ids in self._predictor.decoder.best(outputs)]

    def probabilities(self, sequences: Iterable[Any]) -> list[np.ndarray]:
        """Return the probability of each of :attr:`labels`.

        Args:
            sequences: as in :meth:`predict`.

        Returns:
            For each sequence an array ``(time, labels)``, or ``(labels,)`` if one label is predicted for a sequence.

        Raises:
            UsageError: the model predicts values, or a sequence cannot be used (see :meth:`predict`).
        """
        _ = self._label_codec
        outputs = self._outputs(sequences)
        if self.architecture.outputs == "label":
            return [np.exp(array) for array in outputs]
        return self._predictor.decoder.probabilities(outputs)

    def label(self, sequences: Iterable[Any], n_best: int = 1, *, probabilities: bool = False) -> list[Labelling]:
        """Return the most probable sequences of labels for each sequence, and the probability of each label.

        Args:
            sequences: as in :meth:`predict`.
            n_best: how many sequences of labels, at least 1; there are fewer where so few are possible.
            probabilities: whether the probabilities of labels are wanted, as :meth:`probabilities` returns them.

        Raises:
            UsageError: the model does not predict a label for each time step, or a sequence cannot be used.
        """
        codec = self._label_codec
        if self.architecture.outputs == "label":
            raise UsageError(f"{self._name} predicts one label for a sequence; `probabilities` has that of each")
        if n_best < 1:
            raise UsageError(f"`n_best` must be at least 1, not {n_best}")
        scores = self._outputs(sequences)
        shares: Sequence[np.ndarray | None] = [None] * len(scores)
        if probabilities:
            shares = self._predictor.decoder.probabilities(scores)
        return [
            Labelling([LabelSequence(codec.decode(found.ids), found.log_probability) for found in best], own)
            for best, own in zip(self._predictor.decoder.n_best(scores, n_best), shares)
        ]

    def evaluate(self, examples: Iterable[Any]) -> LabelEvaluation | ValueEvaluation:
        """Return the model's figures on examples.

        Args:
            examples: pairs ``(inputs, outputs)``, as in training.

        Raises:
            UsageError: an example is not of the model's kind, or no output in the examples counts.
        """
        checked = check_examples(examples, self.architecture.inputs, self.architecture.outputs)
        evaluator = SequenceEvaluator(self._predictor, checked)
        if not evaluator.targets.predictions:
            what = "has a label of the training" if evaluator.predictions else "counts"
            raise UsageError(f"there is nothing to evaluate on: no time step of the examples {what}")
        evaluation = evaluator.evaluate()
        unknown = getattr(evaluation, "unknown_labels", 0)
        if unknown:
            logger.warning(
                "%d of %d labels were not in the training, so the model cannot predict them",
                unknown,
                evaluation.predictions,
            )
        return evaluation

    @property
    def _label_codec(self) -> LabelCodec:
        if not isinstance(self._output_codec, LabelCodec):
            raise UsageError(f"{self._name} predicts values, not labels")
        return self._output_codec

    def _outputs(self, sequences: Iterable[Any]) -> list[np.ndarray]:
        checked = check_inputs(sequences, self.architecture.inputs)
        if self.architecture.outputs == "label":
            for number, sequence in enumerate(checked, 1):
                if not len(sequence):
                    raise UsageError(f"sequence {number} is empty, so it cannot have a label")
        return self._predictor.outputs(self._predictor.encoded(checked))
