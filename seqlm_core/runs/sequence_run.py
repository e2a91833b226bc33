"""The run of a sequence model: prediction and evaluation."""

from __future__ import annotations

import functools
import logging
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seqlm_core.errors import RunError, SettingError, UsageError
from seqlm_core.evaluation.sequences import LabelEvaluation, SequenceEvaluator, ValueEvaluation
from seqlm_core.model.architecture import SequenceArchitecture, architecture_from_json, check_same_architecture
from seqlm_core.model.parameters import check_sequence_parameters
from seqlm_core.model.prediction import Predictor
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.runs.config import SEQUENCE_MODEL
from seqlm_core.runs.networks import batch_network
from seqlm_core.runs.run import Run
from seqlm_core.runs.token_vectors import sources_of_run
from seqlm_core.sequences.chunk_schemes import chunks_only
from seqlm_core.sequences.codecs import Codecs, LabelCodec, ValueCodec
from seqlm_core.sequences.encoded_sequences import EncodedSequences
from seqlm_core.sequences.examples import INPUTS, OUTPUTS, Label, check_examples, check_inputs
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.settings.settings import SequenceSettings
from seqlm_core.storage.quantization import Matrix

if TYPE_CHECKING:
    from seqlm_core.model.sequence_network import SequenceNetwork

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


class SequenceRun(Run[SequenceSettings]):
    """The run of a sequence model.

    Args:
        path: the run directory.
        language_model: where the language model is now whose states the model reads; None means where it was in the
            training.

    Raises:
        RunError: the directory holds no run of a sequence model, is damaged, or needs a plugin that is missing.
        SettingError: a language model is named, and the model reads none.
    """

    task = SEQUENCE_MODEL

    architecture: SequenceArchitecture

    _expected: int | None = None

    def __init__(self, path: PathLike, language_model: PathLike | None = None) -> None:
        super().__init__(path)
        if language_model is not None:
            if "language_model" not in self.config:
                raise SettingError("language_model", f"is of no use: the model of {self.path} reads none")
            where = str(checked_path("language_model", language_model).resolve())
            self.config["language_model"] = {**self.config["language_model"], "path": where}

    def _checked_architecture(self) -> SequenceArchitecture:
        recorded = architecture_from_json(SequenceArchitecture, self.config["architecture"])
        if recorded.inputs not in INPUTS or recorded.outputs not in OUTPUTS:
            raise ValueError(f"no model maps {reprlib.repr(recorded.inputs)} to {reprlib.repr(recorded.outputs)}")
        char_cell = self.char_cell
        if recorded.characters and (char_cell is None or recorded.inputs != "tokens"):
            raise ValueError("the architecture has characters, and no cell reads them")
        if recorded.inputs != "tokens" and (recorded.columns or recorded.vectors or self._records_sources):
            raise ValueError("its model reads values, which have neither columns nor vectors")
        chosen = SequenceArchitecture.choose(
            self._recorded_settings,
            inputs=recorded.inputs,
            outputs=recorded.outputs,
            input_size=recorded.input_size,
            output_size=recorded.output_size,
            bidirectional=self.cell.spec.bidirectional,
            characters=recorded.characters,
            char_bidirectional=char_cell is not None and char_cell.spec.bidirectional,
            columns=recorded.columns,
            vectors=recorded.vectors,
        )
        check_same_architecture(recorded, chosen, self._recorded_settings)
        return recorded

    @property
    def _records_sources(self) -> bool:
        return "vectors" in self.config or "language_model" in self.config

    @property
    def _token_embedding_size(self) -> int | None:
        return self.architecture.embedding_size if self.architecture.inputs == "tokens" else None

    @functools.cached_property
    def codecs(self) -> Codecs:
        """The codecs of the model's inputs and outputs, which give them their meaning."""
        codecs = self.codecs_without_sources
        if self._records_sources:
            codecs = codecs.with_sources(sources_of_run(self.directory, self.config))
        self._check_against_architecture(self.directory.codecs, {"vectors": codecs.sizes["vectors"]})
        return codecs

    @functools.cached_property
    def codecs_without_sources(self) -> Codecs:
        """The same without what gives vectors to tokens, which may be large or elsewhere."""
        codecs = self.directory.read_codecs()
        of_values = isinstance(codecs.outputs, ValueCodec)
        found = {**codecs.sizes, "outputs": "values"} if of_values else codecs.sizes
        del found["vectors"]
        self._check_against_architecture(self.directory.codecs, found)
        if not of_values and self.architecture.outputs == "values":
            raise RunError(f"{self.directory.codecs} has labels, and the model predicts values")
        return codecs

    def expect(self, time_steps: int) -> None:
        """Say how many time steps the model will read in all, before it reads any.

        If they are few, they are read without MXNet, whose import would take longer than all else. Predictions are the
        same within rounding.
        """
        self._expected = time_steps

    @property
    def labels(self) -> list[Label]:
        """The labels that the model knows, in the order of :meth:`probabilities`."""
        return list(self._label_codec.labels)

    @functools.cached_property
    def model(self) -> SequenceNetwork:
        """The network with its weights, on the CPU."""
        network: SequenceNetwork = self._new_network()
        return network

    def _build_network(self) -> SequenceNetwork:
        from seqlm_core.model.build import build_sequence_network

        return build_sequence_network(self.architecture, self.cell, self.char_cell)

    def _check_parameters(self, weights: Mapping[str, Matrix]) -> None:
        char_cell = self.char_cell
        check_sequence_parameters(
            weights,
            self.architecture,
            self.cell.spec.native_formula(self.cell.options),
            None if char_cell is None else char_cell.spec.native_formula(char_cell.options),
        )

    @property
    def char_cell(self) -> Component[CellSpec] | None:
        """The cell that reads the characters of tokens, with its options; None if none are read."""
        if self._recorded_settings.char_cell is None:
            return None
        return self._component(installed_plugins().cells, "char_cell")

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
        codec = self.codecs.outputs
        if isinstance(codec, ValueCodec):
            values = [codec.decode(array) for array in outputs]
            return [array[:, 0] for array in values] if codec.size == 1 else values
        if self.architecture.outputs == "label":
            return [codec.labels[array.argmax()] for array in outputs]
        return [codec.decode(ids) for ids in self._predictor.best_labels(outputs)]

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
        return self._predictor.label_probabilities(outputs)

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
            raise UsageError(f"{self.path} predicts one label for a sequence; `probabilities` has that of each")
        if n_best < 1:
            raise UsageError(f"`n_best` must be at least 1, not {n_best}")
        scores = self._outputs(sequences)
        shares: Sequence[np.ndarray | None] = [None] * len(scores)
        if probabilities:
            shares = self._predictor.label_probabilities(scores)
        return [
            Labelling([LabelSequence(codec.decode(found.ids), found.log_probability) for found in best], own)
            for best, own in zip(self._predictor.n_best_labels(scores, n_best), shares)
        ]

    def evaluate(self, examples: Iterable[Any]) -> LabelEvaluation | ValueEvaluation:
        """Return the model's figures on examples.

        Args:
            examples: pairs ``(inputs, outputs)``, as in training.

        Raises:
            UsageError: an example is not of the model's kind, or no output in the examples counts.
        """
        checked = check_examples(examples, self.architecture.inputs, self.architecture.outputs)
        evaluator = SequenceEvaluator(self._predictor, checked, self.codecs)
        if not evaluator.encoded.predictions:
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
        if not isinstance(self.codecs.outputs, LabelCodec):
            raise UsageError(f"{self.path} predicts values, not labels")
        return self.codecs.outputs

    @functools.cached_property
    def _predictor(self) -> Predictor:
        allowed = chunks_only(self._label_codec.labels) if self.settings.constrain else None
        return Predictor(batch_network(self, self.char_cell, self._expected), self.settings.batch_size, allowed=allowed)

    def _outputs(self, sequences: Iterable[Any]) -> list[np.ndarray]:
        checked = check_inputs(sequences, self.architecture.inputs)
        if self.architecture.outputs == "label":
            for number, sequence in enumerate(checked, 1):
                if not len(sequence):
                    raise UsageError(f"sequence {number} is empty, so it cannot have a label")
        return self._predictor.outputs(EncodedSequences.of_inputs(checked, self.codecs))
