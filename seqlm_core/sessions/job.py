"""Prepares a training from texts or examples and, if there is one, an earlier run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from seqlm_core.engine.devices import compute_device
from seqlm_core.engine.memory import give_back_freed_memory
from seqlm_core.engine.mxnet import mx
from seqlm_core.errors import SettingError
from seqlm_core.model.architecture import LanguageArchitecture, SequenceArchitecture
from seqlm_core.model.build import load_weights
from seqlm_core.plugins.components import Components
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.sequences.codecs import Codecs
from seqlm_core.sequences.examples import Example, read_examples
from seqlm_core.sequences.given_vectors import VectorSource
from seqlm_core.sessions.training_corpus import read_training_corpus
from seqlm_core.sessions.user_code import UserCode
from seqlm_core.settings.settings import READ_ROWS, LanguageSettings, SequenceSettings
from seqlm_core.settings.size_of_text import LARGE_VOCABULARY, chosen_for
from seqlm_core.settings.training_settings import TrainingSettings
from seqlm_core.training.missed_steps import coasting_rule
from seqlm_core.training.task import Task
from seqlm_core.training.tasks.language import language_task, model_sampler
from seqlm_core.training.tasks.sequences import sequence_task
from seqlm_core.workers.workers import ALONE, Workers


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """All that a training is made of.

    Attributes:
        task: the task; its network has the weights that the training begins with.
        components: the plugins.
        settings: resolved settings, in which nothing is left to a plugin's default.
        device: the device that computes.
        user_code: the user's own extensions and schedule.
        sampler: a function of the step that returns a text sampled from the current model; None if the model generates
            no text.
        sample_every: number of steps from one sample to the next; 0 means no samples.
        init_from: the run with whose best weights the training begins; None for initial weights.
        chosen: the settings that were chosen from the size of the text.
    """

    task: Task
    components: Components
    settings: TrainingSettings
    device: mx.Context
    user_code: UserCode
    sampler: Callable[[int], str] | None = None
    sample_every: int = 0
    init_from: Path | None = None
    chosen: dict[str, Any] = dataclasses.field(default_factory=dict)

    def beginning_with(self, run: Run[Any]) -> TrainingJob:
        """Return the same training, but with the best weights of a run of the same architecture to begin with."""
        load_weights(self.task.network, run.weights, self.device)
        return dataclasses.replace(self, init_from=run.path.resolve())


def language_job(
    files: TrainingFiles,
    components: Components,
    settings: LanguageSettings,
    user_code: UserCode,
    run: LanguageRun | None = None,
    *,
    quiet: bool = False,
    workers: Workers = ALONE,
) -> TrainingJob:
    """Prepare the training of a language model.

    Args:
        files: the texts to train and validate on.
        components: the plugins.
        settings: resolved settings.
        user_code: the user's own extensions and schedule.
        run: a run whose tokenizer, vocabulary and sizes to take; None means that they are made from the texts.
        quiet: whether to show no progress of the reading.
        workers: those who train together.

    Raises:
        PluginError: the cell does not work.
        TextError: a text cannot be read, or consists of one symbol only.
    """
    device = compute_device(settings.device, workers.rank)
    if run is None:
        corpus = read_training_corpus(files, components.build_tokenizer(), settings, quiet=quiet)
        bidirectional = components.cell.spec.bidirectional
        architecture = LanguageArchitecture.choose(settings, bidirectional, len(corpus.vocabulary))
    else:
        corpus = read_training_corpus(files, run.tokenizer, settings, run.vocabulary, quiet=quiet)
        architecture = run.architecture
    give_back_freed_memory()  # of the words of a text, most of which are in no vocabulary
    if settings.embedding_updates == READ_ROWS:
        _check_rows(architecture, components)
    chosen = chosen_for(settings, len(corpus.training), len(corpus.vocabulary))
    if settings.embedding_updates is None and _some_rows_do(settings, architecture, components):
        chosen["embedding_updates"] = READ_ROWS
    task = language_task(corpus, components, settings.replace(**chosen), architecture, device, workers)
    sampler = model_sampler(task, components)
    return TrainingJob(
        task, components, task.settings, device, user_code, sampler, settings.sample_every, chosen=chosen
    )


def _some_rows_do(settings: LanguageSettings, architecture: LanguageArchitecture, components: Components) -> bool:
    """Return whether it is faster to update only those embeddings that a step reads, and comes to the same."""
    optimizer = components.optimizer.spec
    return (
        architecture.embedding_size > 0
        and not architecture.tie_weights
        and architecture.vocabulary_size >= LARGE_VOCABULARY
        and optimizer.elementwise
        and coasting_rule(components.build_optimizer(optimizer.default_learning_rate)) is not None
    )


def _check_rows(architecture: LanguageArchitecture, components: Components) -> None:
    """Raise :class:`SettingError` unless there are embeddings of which some rows can be updated, and others not."""
    optimizer = components.optimizer.spec
    if not architecture.embedding_size:
        problem = "needs embeddings, and this model reads one-hot vectors; set `embedding_size`"
    elif not optimizer.elementwise:
        problem = f"needs an optimizer whose plugin says that it is `elementwise`, and {optimizer.name!r} does not"
    else:
        return
    raise SettingError("embedding_updates", f"{READ_ROWS} {problem}")


def sequence_job(
    training: Sequence[Example],
    validation: Sequence[Example],
    kinds: tuple[str, str],
    components: Components,
    settings: SequenceSettings,
    user_code: UserCode,
    run: SequenceRun | None = None,
    workers: Workers = ALONE,
    sources: Sequence[VectorSource] = (),
) -> TrainingJob:
    """Prepare the training of a sequence model.

    Args:
        training: the examples to train on, checked.
        validation: the examples to validate on, checked; without any there is no validation.
        kinds: the kinds of the inputs and of the outputs.
        components: the plugins.
        settings: resolved settings.
        user_code: the user's own extensions and schedule.
        run: a run whose codecs and sizes to take; None means that they are made from the examples.
        workers: those who train together.
        sources: what gives vectors to tokens, unless it is the run.

    Raises:
        PluginError: a cell does not work.
        UsageError: no output in the training examples counts.
    """
    device = compute_device(settings.device, workers.rank)
    if run is None:
        codecs = Codecs.from_examples(
            training,
            *kinds,
            min_count=settings.min_count,
            max_vocabulary=settings.max_vocabulary,
            by_characters=components.char_cell is not None,
            shapes=settings.shapes,
            lowercase=settings.lowercase,
            sources=tuple(sources),
        )
        architecture = _sequence_architecture(kinds, components, settings, codecs)
    else:
        codecs, architecture = run.codecs, run.architecture
    task = sequence_task(training, validation, codecs, components, settings, architecture, device, workers)
    return TrainingJob(task, components, task.settings, device, user_code)


def job_of_run(
    run: Run[Any],
    files: TrainingFiles,
    settings: Any,
    user_code: UserCode,
    *,
    quiet: bool = False,
    workers: Workers = ALONE,
) -> TrainingJob:
    """Prepare the training of a run of any kind as it began. The last checkpoint has to be loaded afterwards.

    Args:
        run: the run to resume.
        files: the files that the run began with.
        settings: resolved settings, including those that change on resuming.
        user_code: the user's own extensions and schedule.
        quiet: whether to show no progress of the reading.
        workers: those who train together.

    Raises:
        PluginError: a cell does not work.
        TextError: a text cannot be read.
    """
    if isinstance(run, LanguageRun):
        return language_job(files, run.components, settings, user_code, run, quiet=quiet, workers=workers)
    if not isinstance(run, SequenceRun):
        raise TypeError(f"there is no training of a {type(run).__name__}")
    kinds = run.architecture.inputs, run.architecture.outputs
    training, validation = (
        [example for path in paths for example in read_examples(path, *kinds)]
        for paths in (files.training, files.validation)
    )
    return sequence_job(training, validation, kinds, run.components, settings, user_code, run, workers)


def _sequence_architecture(
    kinds: tuple[str, str], components: Components, settings: SequenceSettings, codecs: Codecs
) -> SequenceArchitecture:
    return SequenceArchitecture.choose(
        settings,
        outputs=kinds[1],
        bidirectional=components.cell.spec.bidirectional,
        **codecs.sizes,
        char_bidirectional=components.char_cell is not None and components.char_cell.spec.bidirectional,
    )
