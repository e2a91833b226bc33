"""Models of any sequence: labels of each time step, one label a sequence, or values."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seqlm_core.engine.randomness import generator
from seqlm_core.errors import SettingError, UsageError
from seqlm_core.plugins.components import Components
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.runs.directory import TRAINING_EXAMPLES_FILE, VALIDATION_EXAMPLES_FILE
from seqlm_core.runs.new_run import check_destination
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.runs.settings_of_run import plugins_of_model, settings_to_begin_from
from seqlm_core.runs.training_texts import TrainingTexts
from seqlm_core.sequences.examples import INPUTS, OUTPUTS, Example, check_examples, write_examples
from seqlm_core.sessions.additions import split_additions
from seqlm_core.settings.arguments import PathLike
from seqlm_core.settings.fields import facts, make_settings, names_of
from seqlm_core.settings.settings import SequenceSettings
from seqlm_core.storage.temporary import readable_file_errors
from seqlm_core.training.extension import Extension, check_extensions


class SequenceModel:
    """A recurrent model of whole sequences, of any lengths.

    A bidirectional cell reads each sequence from both ends, and its two directions are combined in every layer; so each
    prediction is made of the whole sequence. (A language model may not do that: what it predicts is in the sequence.)

    Args:
        inputs: what a sequence is made of: ``tokens``, texts or whole numbers; or ``values``, arrays ``(time,
            channels)``.
        outputs: what is predicted: ``labels``, one for each time step; ``label``, one for the sequence; or ``values``
            for each time step.
        settings: fields of :class:`~seqlm_core.settings.settings.SequenceSettings`, such as ``cell="bigru"``.

    Raises:
        UsageError: a kind or a setting is not known, or does not fit.
    """

    def __init__(self, inputs: str = "tokens", outputs: str = "labels", **settings: Any) -> None:
        if inputs not in INPUTS:
            raise SettingError("inputs", f"must be one of {', '.join(INPUTS)}, not {inputs!r}")
        if outputs not in OUTPUTS:
            raise SettingError("outputs", f"must be one of {', '.join(OUTPUTS)}, not {outputs!r}")
        self.inputs = inputs
        self.outputs = outputs
        self._additions, settings = split_additions((), settings)
        self.given = settings
        self.settings = make_settings(SequenceSettings, self._with_defaults(settings))
        self._check_settings(settings)
        Components.choose(self.settings, installed_plugins())

    def __repr__(self) -> str:
        return f"SequenceModel({self.inputs!r}, {self.outputs!r}, cell={self.settings.cell!r})"

    def train(
        self,
        examples: Iterable[Any],
        validation: Iterable[Any] | None = None,
        *,
        name: str = "sequences",
        out: PathLike | None = None,
        overwrite: bool = False,
        init_from: PathLike | None = None,
        quiet: bool = False,
        extensions: Sequence[Extension] = (),
    ) -> SequenceRun:
        """Train on examples, and return the run.

        Args:
            examples: pairs ``(inputs, outputs)``. Labels are texts or whole numbers; a label that is None, or values
                that are ``nan``, are not trained. The run keeps the examples, so that it can be resumed.
            validation: likewise, to choose the best epoch by. None takes a share of the examples, drawn at random,
                which is then not trained on; an empty list validates on nothing.
            name: what the examples are called in the name of the run's directory.
            out: the run directory; ``data/models/NAME-CELL-N`` without it.
            overwrite: replace the run that is in ``out``.
            init_from: a run of the same kinds whose best weights, vocabulary, labels and sizes to begin with.
            quiet: show no progress.
            extensions: what else is called in the training; resuming needs those that have a state again.

        Raises:
            UsageError: an example, a setting, or ``out``, cannot be used.
            NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
            TrainingInterrupted: a signal ended the training; ``seqlm.resume`` goes on with it.
        """
        additions = dataclasses.replace(self._additions, extensions=check_extensions(extensions))
        check_destination(out, overwrite)
        training = check_examples(examples, self.inputs, self.outputs)
        held_out = check_examples([] if validation is None else validation, self.inputs, self.outputs)
        earlier = None if init_from is None else SequenceRun(init_from)
        wanted = self.settings if earlier is None else self._settings_to_begin_from(earlier)
        self._check_needs(wanted)
        components = Components.choose(
            wanted, installed_plugins(), {} if earlier is None else plugins_of_model(earlier)
        )
        settings = components.resolve(wanted)
        if validation is None:
            training, held_out = self._split(training, settings)
        from seqlm_core.engine.mxnet import readable_failures
        from seqlm_core.sessions.job import sequence_job
        from seqlm_core.sessions.new_run import train_new_run

        with readable_failures(), tempfile.TemporaryDirectory(prefix="seqlm-") as folder:
            if earlier is not None:
                earlier.check_weights()
            kinds = self.inputs, self.outputs
            job = sequence_job(training, held_out, kinds, components, settings, additions, earlier)
            if earlier is not None:
                job = job.beginning_with(earlier)
            texts = _as_texts(Path(folder), training, held_out, name)
            directory = train_new_run(job, texts, out, overwrite, quiet)
        return SequenceRun(directory.path)

    def _with_defaults(self, given: dict[str, Any]) -> dict[str, Any]:
        values = self.outputs == "values"
        # A forecast may not read what it forecasts, so values are predicted from one side unless the user says so.
        defaults = {"cell": "lstm" if values else "bilstm", "dropout": 0.0 if values else 0.3}
        return {**defaults, **{name: value for name, value in given.items() if value is not None}}

    def _check_settings(self, given: dict[str, Any]) -> None:
        if self.inputs == "values":
            for setting in names_of(SequenceSettings, "tokens_only"):
                if given.get(setting):
                    raise SettingError(setting, "is for tokens, and this model reads values")

    def _check_needs(self, settings: SequenceSettings) -> None:
        for setting, needed in facts(SequenceSettings, "needs").items():
            if self.given.get(setting) and getattr(settings, needed) is None:
                raise SettingError(setting, f"needs `{needed}`, and none is chosen")

    def _settings_to_begin_from(self, earlier: SequenceRun) -> SequenceSettings:
        theirs = earlier.architecture.inputs, earlier.architecture.outputs
        if theirs != (self.inputs, self.outputs):
            raise UsageError(
                f"{earlier.path} maps {theirs[0]} to {theirs[1]}, and cannot begin a model of {self.inputs} to "
                f"{self.outputs}"
            )
        settings = settings_to_begin_from(earlier, self.given)
        return settings if settings.dropout is not None else settings.replace(dropout=self.settings.dropout)

    def _split(self, examples: list[Example], settings: SequenceSettings) -> tuple[list[Example], list[Example]]:
        """Return the examples to train on and those to validate on, each in the order in which they came."""
        count = int(len(examples) * settings.validation_fraction)
        order = generator(settings.seed, 0, "validation sequences").permutation(len(examples))
        held_out = set(order[:count].tolist())
        training = [example for i, example in enumerate(examples) if i not in held_out]
        return training, [examples[i] for i in sorted(held_out)]


def _as_texts(folder: Path, training: Sequence[Example], validation: Sequence[Example], name: str) -> TrainingTexts:
    """Write the examples for the run to keep."""
    kept = {TRAINING_EXAMPLES_FILE: training, VALIDATION_EXAMPLES_FILE: validation}
    with readable_file_errors():
        files = {file: write_examples(folder / file, examples) for file, examples in kept.items() if examples}
    held_out = (files[VALIDATION_EXAMPLES_FILE],) if validation else ()
    return TrainingTexts((files[TRAINING_EXAMPLES_FILE],), held_out, kept=files, name=name)
