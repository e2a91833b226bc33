"""The task of learning what belongs to sequences: batches of whole sequences, their loss, and the model's figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np

from seqlm_core.architecture import SequenceArchitecture
from seqlm_core.build import build_sequence_network, check_cells_work
from seqlm_core.components import Components
from seqlm_core.errors import RunError, UsageError
from seqlm_core.model.initialization import initialize
from seqlm_core.model.sequence_network import LONGEST_SPELLING, SequenceLoss, SequenceNetwork
from seqlm_core.mxnet import mx, nd
from seqlm_core.randomness import generator
from seqlm_core.run_directory import SEQUENCE_MODEL, RunDirectory
from seqlm_core.sequences.batches import Batch, EncodedSequences, TrainingBatches
from seqlm_core.sequences.encoders import Encoders
from seqlm_core.sequences.evaluation import LabelEvaluation, SequenceEvaluator, ValueEvaluation
from seqlm_core.sequences.examples import Example
from seqlm_core.sequences.prediction import NetworkInputs, Predictor
from seqlm_core.settings import SequenceSettings
from seqlm_core.training.dropout import dropout_masks
from seqlm_core.training.extension import Extension
from seqlm_core.training.extensions.anomalies import is_finite
from seqlm_core.training.session import Session


class SequenceLearning:
    """Trains a sequence model; every batch is of whole sequences, so no state is carried over from one to the next.

    Args:
        model: an initialized network.
        training: checked examples.
        validation: likewise; none of them validates on nothing.
        encoders: of the training examples, or of an earlier run.
        settings: of the training.

    Raises:
        UsageError: nothing in the training examples counts.
    """

    name = SEQUENCE_MODEL
    resume_command = "seqlm tag train --resume"

    def __init__(
        self,
        model: SequenceNetwork,
        training: Sequence[Example],
        validation: Sequence[Example],
        encoders: Encoders,
        settings: SequenceSettings,
    ) -> None:
        self.model = model
        self.encoders = encoders
        self.settings = settings
        outputs = model.architecture.outputs
        self.loss_name = "normalized_squared_error" if outputs == "values" else "nats_per_label"
        self.unit = "sequences" if outputs == "label" else "time steps"
        if model.architecture.inputs == "tokens" and outputs != "label":
            self.unit = "tokens"
        self._training = EncodedSequences.of_examples(training, outputs, encoders, LONGEST_SPELLING)
        self._batches = TrainingBatches(self._training, settings.batch_size)
        if not len(self._batches):  # possible only with the labels of an earlier run
            raise UsageError("nothing in the training examples counts: none of their labels is one of the earlier run")
        self._inputs = NetworkInputs(model)
        self._losses: dict[tuple[int, int], SequenceLoss] = {}
        self._validation_sequences = len(validation)
        self._evaluator: SequenceEvaluator | None = None
        if validation:
            evaluator = SequenceEvaluator(Predictor(model, settings.batch_size), validation, encoders)
            self._evaluator = evaluator if evaluator.encoded.predictions else None

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in an epoch."""
        return len(self._batches)

    @property
    def predictions_per_step(self) -> float:
        """Predictions that count in one training step, on average."""
        return self._training.predictions / len(self._batches)

    def describe(self) -> dict[str, Any]:
        """Return what a run's configuration tells of the task and its data."""
        return {
            "task": self.name,
            "architecture": dataclasses.asdict(self.model.architecture),
            "training_sequences": len(self._training),
            "validation_sequences": self._validation_sequences,
        }

    def write_files(self, directory: RunDirectory) -> None:
        """Write what the model's inputs and outputs mean."""
        directory.write_encoders(self.encoders)

    def notices(self) -> list[str]:
        """Return what a user should know of the data before the training begins."""
        known = [f"{len(self._training):,} sequences to train on", f"{self._validation_sequences:,} to validate on"]
        if self.model.architecture.inputs == "tokens":
            known.append(f"{self.encoders.inputs.size - 1:,} tokens in the vocabulary")
        if self.model.architecture.outputs != "values":
            known.append(f"{self.encoders.outputs.size:,} labels")
        told = [", ".join(known)]
        if self._validation_sequences and self._evaluator is None:
            told.append("nothing of the validation part counts, so the training loss tells which epoch is the best")
        return told

    def watchers(self, components: Components, show: Callable[[str], None]) -> list[Extension]:
        """Return the extensions of this task alone: none."""
        return []

    def batches(self, epoch: int, first_step: int) -> Iterator[Batch]:
        """Yield the rest of an epoch's batches."""
        return self._batches.read(self.settings.seed, epoch, first_step)

    def loss(self, batch: Batch, step: int) -> tuple[Any, int]:
        """Return the mean loss of a batch and its predictions; call it while autograd records.

        In nats per label; for values the squared error in units of their variance in the training part.
        """
        model = self.model
        if batch.shape not in self._losses:
            self._losses[batch.shape] = SequenceLoss(model, batch.shape[0])
        random = generator(self.settings.seed, step, "dropout")
        masks = dropout_masks(model, model.mask_sizes, self.settings.dropout or 0.0, batch.shape, random)
        inputs, lengths, states = self._inputs(batch)
        dtype = "int32" if batch.targets is not None and batch.targets.dtype == np.int32 else model.dtype
        targets = nd.array(batch.targets, ctx=model.device, dtype=dtype)
        counted = nd.array(batch.counted, ctx=model.device, dtype=model.dtype)
        losses = self._losses[batch.shape](inputs, lengths, states, masks, targets, counted)
        return losses.sum() / batch.predictions, batch.predictions

    def evaluate(self) -> LabelEvaluation | ValueEvaluation | None:
        """Return the figures on the validation part, None where there is none."""
        return self._evaluator.evaluate() if self._evaluator else None

    def first_not_finite(self, batch: Batch) -> str | None:
        """Return the name of the first part of the model whose outputs for a batch are not finite, or None.

        Computed without dropout.
        """
        inputs, lengths, states = self._inputs(batch)
        values = self.model.embed(nd, inputs, states, batch.shape[0])
        if not is_finite(values):
            return "input"
        for layer in range(self.model.encoder.layers):
            values = self.model.encoder.run_layer(nd, layer, values, lengths, states[0], batch.shape[0])
            if not is_finite(values):
                return f"encoder.{layer}"
        return None

    def state(self) -> dict[str, np.ndarray]:
        """Return nothing: every batch begins afresh."""
        return {}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Bring back what :meth:`state` returned.

        Raises:
            RunError: there is something.
        """
        if arrays:
            raise RunError("the checkpoint holds recurrent states, which a sequence model has none of")


def sequence_session(
    training: Sequence[Example],
    validation: Sequence[Example],
    encoders: Encoders,
    components: Components,
    settings: SequenceSettings,
    architecture: SequenceArchitecture,
    device: mx.Context,
) -> Session:
    """Return a training of a sequence model with initial weights.

    Raises:
        PluginError: a cell does not work.
    """
    network = build_sequence_network(architecture, components.cell, components.char_cell)
    initialize(network, settings.seed, device)
    names = {"encoder.": components.cell.spec.name}
    if components.char_cell is not None:
        names["input."] = components.char_cell.spec.name
    check_cells_work(network, names)
    return Session(SequenceLearning(network, training, validation, encoders, settings), components, settings, device)
