"""The task of a sequence model: the batches of whole sequences that it is trained on, its loss, and its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of, make_array
from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.errors import RunError, SettingError, UsageError
from seqlm_core.evaluation.sequences import LabelEvaluation, SequenceEvaluator, ValueEvaluation
from seqlm_core.generation.step_check import step_problem, warn_of_step
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.model.build import build_sequence_network, check_cells_work
from seqlm_core.model.graph_batches import GraphBatches, NetworkInputs
from seqlm_core.model.initialization import initialize
from seqlm_core.model.penalties import Penalties
from seqlm_core.model.prediction import NetworkPredictor
from seqlm_core.model.sequence_network import SequenceLoss, SequenceNetwork
from seqlm_core.plugins.components import Components
from seqlm_core.runs.config import SEQUENCE_MODEL
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.sequences.batches import Batch, TrainingBatches
from seqlm_core.sequences.chunk_schemes import chunks_only
from seqlm_core.sequences.codecs import Codecs, LabelCodec
from seqlm_core.sequences.encoded_sequences import EncodedSequences
from seqlm_core.sequences.examples import Example
from seqlm_core.sequences.label_chains import LabelChain
from seqlm_core.settings.settings import BY_SCORE, SequenceSettings
from seqlm_core.training.dropout import DropoutMasks, with_rates_for
from seqlm_core.training.embedding_rows import EmbeddingRows
from seqlm_core.training.extensions.anomalies import is_finite
from seqlm_core.training.weight_dropping import WeightDropping, WeightMasks
from seqlm_core.workers.workers import ALONE, Workers

LESS_THAN_ANY_SCORE = 1e-10
"""A loss times this is less than any two scores of the same labels differ."""


@dataclasses.dataclass(frozen=True)
class PreparedBatch:
    """The batch of a training step and its dropout masks, as arrays on the network's device.

    Attributes:
        step: the step; the first step is 0.
        batch: the batch that the arrays are made of.
        inputs: the inputs of the network, see :class:`~seqlm_core.model.sequence_network.SequenceNetwork`.
        lengths: the lengths of the sequences; None if neither network nor output layer needs them.
        masks: dropout masks; None without dropout.
        weight_masks: masks of the recurrent weights.
        targets: ids of labels, int32 ``(time, batch)`` or ``(batch,)``; or values ``(time, batch, channels)``.
        counted: 1 where a target counts, else 0, ``(time, batch)`` or ``(batch,)``.
        predictions: number of targets that count.
        weights: the weight of each prediction's loss in the mean, of the shape of ``counted``.
    """

    step: int
    batch: Batch
    inputs: list[Any]
    lengths: Any | None
    masks: list[Any] | None
    weight_masks: WeightMasks
    targets: Any
    counted: Any
    predictions: int
    weights: Any


class SequenceLearning:
    """Trains a sequence model. A batch holds whole sequences, so no state is carried over from one batch to the next.

    Args:
        network: an initialized network.
        training: the examples to train on, checked.
        validation: the examples to validate on, checked; without any there is no validation.
        codecs: the codecs, made from the training examples or taken from an earlier run.
        settings: the settings of the training.
        workers: those who train together; each has some of the sequences of a batch.

    Raises:
        UsageError: no output in the training examples counts.

    Attributes:
        step_problem: what is wrong with a cell's step, which computes where MXNet is not installed; None if no problem
            is known.
    """

    name = SEQUENCE_MODEL
    embedding_rows: EmbeddingRows | None = None

    def __init__(
        self,
        network: SequenceNetwork,
        training: Sequence[Example],
        validation: Sequence[Example],
        codecs: Codecs,
        settings: SequenceSettings,
        workers: Workers = ALONE,
    ) -> None:
        self.network = network
        self.workers = workers
        self.codecs = codecs
        self.settings = settings
        self.step_problem: str | None = None
        outputs = network.architecture.outputs
        self.loss_name = "normalized_squared_error" if outputs == "values" else "nats_per_label"
        self.unit = "sequences" if outputs == "label" else "time steps"
        if network.architecture.inputs == "tokens" and outputs != "label":
            self.unit = "tokens"
        self._training = EncodedSequences.of_examples(training, outputs, codecs)
        self._batches = TrainingBatches(self._training, settings.batch_size)
        if not len(self._batches):  # this happens only with the labels of an earlier run
            raise UsageError("nothing in the training examples counts: none of their labels is one of the earlier run")
        self._predictions_per_step = self._batches.predictions / len(self._batches)
        self._dropout = DropoutMasks(network, network.mask_sizes, settings)
        self._weight_dropping = WeightDropping(network, settings.recurrent_dropout or 0.0, settings.seed)
        self._inputs = NetworkInputs(network)
        for name in ("activation_penalty", "temporal_activation_penalty"):
            if outputs == "label" and getattr(settings, name):
                raise SettingError(
                    name, "is for models with an output at each time step, and this one has a single label"
                )
        self._penalties = Penalties(settings.activation_penalty, settings.temporal_activation_penalty)
        self._losses: dict[tuple[int, int], SequenceLoss] = {}
        allowed = _allowed_chain(codecs) if settings.constrain else None
        self._validation_sequences = len(validation)
        self._evaluator: SequenceEvaluator | None = None
        if validation:
            predictor = NetworkPredictor(GraphBatches(network), codecs, settings.batch_size, workers, allowed)
            evaluator = SequenceEvaluator(predictor, validation)
            self._evaluator = evaluator if evaluator.targets.predictions else None

    @property
    def steps_per_epoch(self) -> int:
        """The number of training steps in an epoch."""
        return len(self._batches)

    @property
    def predictions_per_step(self) -> float:
        """The mean number of predictions that count in a training step."""
        return self._predictions_per_step

    @property
    def has_validation(self) -> bool:
        """Whether there is something to validate on, so that :meth:`evaluate` returns figures."""
        return self._evaluator is not None

    def describe(self) -> dict[str, Any]:
        """Return what a run's configuration records of the task and its data."""
        described = {
            "task": self.name,
            "architecture": dataclasses.asdict(self.network.architecture),
            "training_sequences": len(self._training),
            "validation_sequences": self._validation_sequences,
            **self.codecs.described_sources,
        }
        return described if self.step_problem is None else {**described, "step_problem": self.step_problem}

    def write_files(self, directory: RunDirectory) -> None:
        """Write the file that gives the model's inputs and outputs their meaning."""
        directory.write_codecs(self.codecs)

    def notices(self) -> list[str]:
        """Return what users should know about the data before the training begins."""
        known = [f"{len(self._training):,} sequences to train on", f"{self._validation_sequences:,} to validate on"]
        if self.network.architecture.inputs == "tokens":
            known.append(f"{self.codecs.inputs.size - 1:,} tokens in the vocabulary")
        if self.network.architecture.outputs != "values":
            known.append(f"{self.codecs.outputs.size:,} labels")
        notices = [", ".join(known)]
        if self._validation_sequences and self._evaluator is None:
            notices.append("nothing of the validation part counts, so the training loss tells which epoch is the best")
        return notices

    def batches(self, epoch: int, first_step: int) -> Iterator[PreparedBatch]:
        """Yield an epoch's batches, beginning with ``first_step``. None of them depends on the network's weights."""
        batches = self._batches.read(self.settings.seed, epoch, first_step)
        for step, batch in enumerate(batches, start=epoch * self.steps_per_epoch + first_step):
            yield self._prepared(batch, step)

    def loss(self, prepared: PreparedBatch) -> Any:
        """Return the loss of each prediction, 0 for those that do not count. Call it while autograd records.

        The loss is in nats. That of values is their squared error in units of their variance in the training part.
        """
        p, shape = prepared, prepared.batch.shape
        if shape not in self._losses:
            self._losses[shape] = SequenceLoss(self.network, shape[0], self._penalties)
        states = self._inputs.states(p.batch)
        return self._losses[shape](p.inputs, p.lengths, states, p.masks, p.targets, p.counted)

    def evaluate(self) -> LabelEvaluation | ValueEvaluation | None:
        """Return the figures on the validation part; None if there is none."""
        return self._evaluator.evaluate() if self._evaluator else None

    def selection_loss(self, figures: LabelEvaluation | ValueEvaluation) -> float:
        """Return what is lowest with the best figures: the loss, or 1 less the score and, of equal ones, the loss."""
        if self.settings.best_by == BY_SCORE and isinstance(figures, LabelEvaluation):
            return 1 - figures.score + figures.loss * LESS_THAN_ANY_SCORE
        return figures.loss

    def first_non_finite_part(self, prepared: PreparedBatch) -> str | None:
        """Return the name of the first part of the network with outputs that are not finite; None if all are finite.

        The outputs are computed without dropout.
        """
        time, states = prepared.batch.shape[0], self._inputs.states(prepared.batch)
        values = self.network.embed(nd, prepared.inputs, states, time)
        if not is_finite(values):
            return "input"
        for layer in range(self.network.encoder.layers):
            values = self.network.encoder.run_layer(nd, layer, values, prepared.lengths, states[0], time)
            if not is_finite(values):
                return f"encoder.{layer}"
        return None

    def state(self) -> dict[str, np.ndarray]:
        """Return no arrays, since every batch begins with fresh states."""
        return {}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Restore a state that :meth:`state` returned.

        Raises:
            RunError: it holds arrays.
        """
        if arrays:
            raise RunError("the checkpoint holds recurrent states, but a sequence model has none")

    def _prepared(self, batch: Batch, step: int) -> PreparedBatch:
        device, dtype, predictions = self.network.device, self.network.dtype, batch.predictions
        tokens = batch.inputs[0] if self.network.architecture.inputs == "tokens" else None
        part = self.workers.part_of(batch.shape[1])
        columns = part if part.start < part.stop else slice(0, 1)
        masks = self._dropout.draw(step, "dropout", tokens, batch.shape, part=columns)
        if self.workers.count > 1:
            batch = batch.part(part)
        inputs, lengths = self._inputs.arrays(batch)
        if self.network.head.needs_lengths and lengths is None:
            lengths = array_of(batch.lengths, np.int32, device)
        if batch.targets is None or batch.counted is None:
            raise TypeError("the batch has no targets")
        return PreparedBatch(
            step=step,
            batch=batch,
            inputs=inputs,
            lengths=lengths,
            masks=None if masks is None else masks[1:],
            weight_masks=self._weight_dropping.masks(step),
            targets=array_of(batch.targets, np.int32 if batch.targets.dtype == np.int32 else dtype, device),
            counted=array_of(batch.counted, dtype, device),
            predictions=predictions,
            weights=make_array(batch.counted.shape, dtype, device, lambda array: array.fill(1 / predictions)),
        )


def _allowed_chain(codecs: Codecs) -> LabelChain:
    labels = codecs.outputs.labels if isinstance(codecs.outputs, LabelCodec) else []
    try:
        return chunks_only(labels)
    except ValueError as error:
        raise SettingError("constrain", str(error)) from error


def sequence_task(
    training: Sequence[Example],
    validation: Sequence[Example],
    codecs: Codecs,
    components: Components,
    settings: SequenceSettings,
    architecture: SequenceArchitecture,
    device: mx.Context,
    workers: Workers = ALONE,
) -> SequenceLearning:
    """Return the task of training a sequence model: its network has initial weights, and its settings all rates.

    Raises:
        PluginError: a cell does not work.
    """
    network = build_sequence_network(architecture, components.cell, components.char_cell)
    initialize(network, settings.seed, device)
    names = {"encoder.": components.cell.spec.name}
    if components.char_cell is not None:
        names["input."] = components.char_cell.spec.name
    check_cells_work(network, names)
    all_settings = with_rates_for(network, settings)
    task = SequenceLearning(network, training, validation, codecs, all_settings, workers)
    for stack, cell in (("encoder.", components.cell), ("input.encoder.", components.char_cell)):
        problem = None if cell is None else step_problem(network, cell, f"{stack}forward_stack")
        if cell is not None and problem is not None:
            task.step_problem = problem
            warn_of_step(cell, problem, "where MXNet is not installed, the model cannot be used")
    return task
