"""Training of sequence models, which predict a label for each time step, one label for a sequence, or values."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlm_core.engine.randomness import generator
from seqlm_core.errors import SettingError, UsageError
from seqlm_core.plugins.components import Components
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.reading.text import TextFile
from seqlm_core.runs.directory import TRAINING_EXAMPLES_FILE, VALIDATION_EXAMPLES_FILE
from seqlm_core.runs.new_run import check_destination
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.runs.settings_of_run import plugins_of_model, settings_to_begin_from
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.sequences.examples import INPUTS, OUTPUTS, Example, check_examples, write_examples
from seqlm_core.sessions.user_code import split_user_code
from seqlm_core.sessions.vector_sources import vector_sources
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.settings.fields import facts, make_settings, names_of
from seqlm_core.settings.settings import BY_LOSS, BY_SCORE, CRF, SequenceSettings
from seqlm_core.storage.temporary import readable_file_errors
from seqlm_core.training.event_files import check_event_folder
from seqlm_core.training.extension import Extension, check_extensions
from seqlm_core.workers.joining import joined


class SequenceModel:
    """A recurrent model of whole sequences of any lengths, which is described here and trained by :meth:`train`.

    A bidirectional cell reads each sequence from both ends, and its two directions are combined in every layer. So each
    prediction uses the whole sequence. (A language model must not do that, since the sequence holds what it predicts.)

    Args:
        inputs: the kind of the inputs: ``tokens`` (texts or integers), or ``values`` (arrays ``(time, channels)``).
        outputs: the kind of the outputs: ``labels`` (one for each time step), ``label`` (one for the sequence), or
            ``values`` (for each time step).
        settings: fields of :class:`~seqlm_core.settings.settings.SequenceSettings`, such as ``cell="bigru"``.

    Raises:
        UsageError: a kind or a setting is unknown, or cannot be used here.
    """

    def __init__(self, inputs: str = "tokens", outputs: str = "labels", **settings: Any) -> None:
        if inputs not in INPUTS:
            raise SettingError("inputs", f"must be one of {', '.join(INPUTS)}, not {inputs!r}")
        if outputs not in OUTPUTS:
            raise SettingError("outputs", f"must be one of {', '.join(OUTPUTS)}, not {outputs!r}")
        self.inputs = inputs
        self.outputs = outputs
        self._user_code, settings = split_user_code((), settings)
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
        kvstore: str | None = None,
        vectors: PathLike | None = None,
        language_model: PathLike | None = None,
        read_from: Mapping[str, Any] | None = None,
    ) -> SequenceRun:
        """Train on examples, and return the run.

        Args:
            examples: pairs ``(inputs, outputs)``. Labels are texts or integers. A label that is None, or a value that
                is ``nan``, is not trained. The run keeps the examples, so that it can be resumed.
            validation: examples by which the best epoch is chosen. None means a random share of ``examples``, which is
                then not trained on. With an empty list there is no validation.
            name: a name of the examples, for the name of the run directory.
            out: the run directory; None means ``data/models/NAME-CELL-N``.
            overwrite: whether to replace a run that is in ``out``.
            init_from: a run of the same kinds; the training begins with its best weights, vocabulary, labels and sizes.
            quiet: whether to show no progress.
            extensions: extensions of the training. Those that have a state must be given again on resuming.
            kvstore: ``dist_sync`` trains together with the other workers of a job, as :func:`~seqlm_core.train` does.
            vectors: pre-trained vectors of tokens, a file in the text format of word2vec and GloVe. The model reads
                them beside what it learns of each token, or changes them if the setting ``tune_vectors`` says so. The
                run keeps them, also those of tokens that are not in the examples.
            language_model: the run of a language model, whose states at the borders of each token the model reads, and
                its embedding of the token if it is not a model of characters. It is not copied: it has to be there,
                unchanged, wherever the new run is used. With ``init_from``, where the language model of that run is
                now.
            read_from: what the examples were read from, in values that JSON can hold. The run records it, and does
                nothing else with it.

        Raises:
            UsageError: an example, a setting, or ``out`` cannot be used.
            NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
            TrainingInterrupted: a signal ended the training; ``seqlm.resume`` goes on with it.
        """
        user_code = dataclasses.replace(self._user_code, extensions=check_extensions(extensions))
        _check_record("read_from", read_from)
        check_destination(out, overwrite)
        training = check_examples(examples, self.inputs, self.outputs)
        held_out = check_examples([] if validation is None else validation, self.inputs, self.outputs)
        self._check_sources(vectors, language_model, out, init_from)
        earlier = None if init_from is None else SequenceRun(init_from, language_model)
        wanted = self.settings if earlier is None else self._settings_to_begin_from(earlier)
        self._check_needs(wanted)
        components = Components.choose(
            wanted, installed_plugins(), {} if earlier is None else plugins_of_model(earlier)
        )
        settings = components.resolve(wanted)
        if validation is None:
            training, held_out = self._split(training, settings)
        with joined(kvstore) as workers, tempfile.TemporaryDirectory(prefix="seqlm-") as folder:
            if workers.leads:
                check_event_folder(settings.tensorboard, is_new=True, overwrite=overwrite)
            from seqlm_core.engine.mxnet import readable_failures
            from seqlm_core.sessions.job import sequence_job
            from seqlm_core.sessions.new_run import train_new_run

            with readable_failures():
                if earlier is not None:
                    earlier.check_weights()
                kinds = self.inputs, self.outputs
                sources, kept = vector_sources(Path(folder), training, earlier, vectors, language_model)
                job = sequence_job(
                    training, held_out, kinds, components, settings, user_code, earlier, workers, sources
                )
                if earlier is not None:
                    job = job.beginning_with(earlier)
                files = dataclasses.replace(
                    _write_files(Path(folder), training, held_out, name, kept), read_from=read_from
                )
                directory = train_new_run(job, files, out, overwrite, quiet)
        return SequenceRun(directory.path)

    def _with_defaults(self, given: dict[str, Any]) -> dict[str, Any]:
        values = self.outputs == "values"
        # A forecast must not read what it predicts, so values are predicted in one direction unless the user decides
        # otherwise.
        defaults = {
            "cell": "lstm" if values else "bilstm",
            "dropout": 0.0 if values else 0.3,
            "best_by": BY_LOSS if values else BY_SCORE,
        }
        return {**defaults, **{name: value for name, value in given.items() if value is not None}}

    def _check_settings(self, given: dict[str, Any]) -> None:
        if self.inputs == "values":
            for setting in names_of(SequenceSettings, "tokens_only"):
                if given.get(setting):
                    raise SettingError(setting, "is for tokens, and this model reads values")

        if self.outputs == "values" and self.settings.best_by == BY_SCORE:
            raise SettingError("best_by", f"cannot be {BY_SCORE}: values have no score, only a loss")
        if self.outputs != "labels":
            predicts = "values" if self.outputs == "values" else "one label"
            for setting, is_chosen in (
                ("output_layer", self.settings.output_layer == CRF),
                ("constrain", self.settings.constrain),
            ):
                if is_chosen:
                    raise SettingError(
                        setting, f"is for models with a label at each time step, and this one predicts {predicts}"
                    )

    def _check_sources(
        self,
        vectors: PathLike | None,
        language_model: PathLike | None,
        out: PathLike | None,
        init_from: PathLike | None,
    ) -> None:
        """Check that vectors and a language model can be used, if they are given, and that there are those needed."""
        for name, source in (("vectors", vectors), ("language_model", language_model)):
            if source is not None and self.inputs == "values":
                raise SettingError(name, "is for tokens, and this model reads values")
        if vectors is not None and init_from is not None:
            raise SettingError("vectors", "is of no use with `init_from`: a model that begins with a run reads its own")
        read = None if language_model is None else checked_path("language_model", language_model).resolve()
        if read is not None and out is not None and read == Path(out).resolve():
            raise SettingError("language_model", f"is the run in `out` {out}, which would be replaced")
        if self.settings.tune_vectors and vectors is None and init_from is None:
            raise SettingError("tune_vectors", "needs `vectors`, and none are given")
        if self.settings.tune_vectors and self.settings.embedding_size is not None:
            raise SettingError("embedding_size", "is that of the vectors with `tune_vectors`; leave it out")

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
        """Return the examples to train on and those to validate on, both in their original order."""
        count = int(len(examples) * settings.validation_fraction)
        order = generator(settings.seed, 0, "validation sequences").permutation(len(examples))
        held_out = set(order[:count].tolist())
        training = [example for i, example in enumerate(examples) if i not in held_out]
        return training, [examples[i] for i in sorted(held_out)]


def _check_record(name: str, record: Any) -> None:
    """Raise :class:`SettingError` unless a record is None, or a dictionary that JSON can hold."""
    try:
        if record is not None:
            json.dumps(dict(record), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SettingError(name, f"must be a dictionary of values that JSON can hold: {error}") from error


def _write_files(
    folder: Path,
    training: Sequence[Example],
    validation: Sequence[Example],
    name: str,
    vectors: Mapping[str, TextFile],
) -> TrainingFiles:
    """Write the examples to files that the run will keep, and return these."""
    kept = {TRAINING_EXAMPLES_FILE: training, VALIDATION_EXAMPLES_FILE: validation}
    with readable_file_errors():
        files = {file: write_examples(folder / file, examples) for file, examples in kept.items() if examples}
    held_out = (files[VALIDATION_EXAMPLES_FILE],) if validation else ()
    return TrainingFiles((files[TRAINING_EXAMPLES_FILE],), held_out, kept={**files, **vectors}, name=name)
