"""The run of a sequence model: prediction and evaluation."""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from seqlm_core.errors import RunError, SettingError
from seqlm_core.model.architecture import SequenceArchitecture, architecture_from_json, check_same_architecture
from seqlm_core.model.parameters import check_sequence_parameters
from seqlm_core.model.prediction import NetworkPredictor
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.runs.config import SEQUENCE_MODEL
from seqlm_core.runs.networks import batch_network
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_predictions import SequencePredictions
from seqlm_core.runs.token_vectors import sources_of_run
from seqlm_core.sequences.chunk_schemes import chunks_only
from seqlm_core.sequences.codecs import Codecs, LabelCodec, ValueCodec
from seqlm_core.sequences.examples import INPUTS, OUTPUTS
from seqlm_core.sequences.given_vectors import VectorSource
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.settings.settings import SequenceSettings
from seqlm_core.storage.quantization import Matrix

if TYPE_CHECKING:
    from seqlm_core.model.sequence_network import SequenceNetwork


class SequenceRun(Run[SequenceSettings], SequencePredictions):
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
    _opened: Sequence[VectorSource] = ()

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
            codecs = codecs.with_sources(sources_of_run(self.directory, self.config, self._opened))
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
        self._expected = time_steps

    def share(self, opened: Sequence[VectorSource]) -> None:
        """Say which sources of vectors are open already. If the run reads one of them, it does not open it again."""
        self._opened = opened

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

    @property
    def _name(self) -> str:
        return str(self.path)

    @property
    def _output_codec(self) -> LabelCodec | ValueCodec:
        return self.codecs_without_sources.outputs

    @functools.cached_property
    def _predictor(self) -> NetworkPredictor:
        allowed = chunks_only(self._label_codec.labels) if self.settings.constrain else None
        network = batch_network(self, self.char_cell, self._expected)
        return NetworkPredictor(network, self.codecs, self.settings.batch_size, allowed=allowed)
