"""What a training is made of, made ready from texts or examples and, if there is one, an earlier run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from seqlm_core.engine.mxnet import compute_device, mx
from seqlm_core.model.architecture import LanguageArchitecture, SequenceArchitecture
from seqlm_core.model.build import load_weights
from seqlm_core.plugins.components import Components
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.runs.training_texts import TrainingTexts
from seqlm_core.sequences.codecs import Codecs, TokenCodec
from seqlm_core.sequences.examples import Example, read_examples
from seqlm_core.sessions.additions import Additions
from seqlm_core.sessions.training_corpus import read_training_corpus
from seqlm_core.settings.settings import LanguageSettings, SequenceSettings, TrainingSettings
from seqlm_core.training.task import Task
from seqlm_core.training.tasks.language import language_task, model_sampler
from seqlm_core.training.tasks.sequences import sequence_task


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """What is trained, and how.

    Attributes:
        task: what is trained, with a model that has its weights to begin with.
        components: the plugins.
        settings: resolved, so that nothing is left to a plugin's default.
        device: where to compute.
        additions: the user's own.
        sampler: returns a text of the model as it is at a step; None where the model makes no text.
        sample_every: steps between two samples; 0 for none.
        init_from: the run whose best weights the model begins with.
    """

    task: Task
    components: Components
    settings: TrainingSettings
    device: mx.Context
    additions: Additions
    sampler: Callable[[int], str] | None = None
    sample_every: int = 0
    init_from: Path | None = None

    def beginning_with(self, run: Run[Any]) -> TrainingJob:
        """Return the same training with the best weights of a run of the same architecture to begin with."""
        load_weights(self.task.network, run.weights, self.device)
        return dataclasses.replace(self, init_from=run.path.resolve())


def language_job(
    texts: TrainingTexts,
    components: Components,
    settings: LanguageSettings,
    additions: Additions,
    run: LanguageRun | None = None,
) -> TrainingJob:
    """Return a training of a language model.

    Args:
        texts: to train and validate on.
        components: the plugins.
        settings: resolved.
        additions: the user's own.
        run: whose tokenizer, vocabulary and sizes to take; without it they are made of the texts.

    Raises:
        PluginError: the cell does not work.
        TextError: a text cannot be read, or consists of one symbol only.
    """
    device = compute_device(settings.device)
    if run is None:
        corpus = read_training_corpus(texts, components.build_tokenizer(), settings)
        bidirectional = components.cell.spec.bidirectional
        architecture = LanguageArchitecture.choose(settings, bidirectional, len(corpus.vocabulary))
    else:
        corpus = read_training_corpus(texts, run.tokenizer, settings, run.vocabulary)
        architecture = run.architecture
    task = language_task(corpus, components, settings, architecture, device)
    return TrainingJob(
        task, components, settings, device, additions, model_sampler(task, components), settings.sample_every
    )


def sequence_job(
    training: Sequence[Example],
    validation: Sequence[Example],
    kinds: tuple[str, str],
    components: Components,
    settings: SequenceSettings,
    additions: Additions,
    run: SequenceRun | None = None,
) -> TrainingJob:
    """Return a training of a model of whole sequences.

    Args:
        training: checked examples.
        validation: likewise; none of them validates on nothing.
        kinds: what the inputs and the outputs are.
        components: the plugins.
        settings: resolved.
        additions: the user's own.
        run: whose codecs and sizes to take; without it they are made of the examples.

    Raises:
        PluginError: a cell does not work.
        UsageError: nothing in the training examples counts.
    """
    device = compute_device(settings.device)
    if run is None:
        codecs = Codecs.from_examples(
            training,
            *kinds,
            min_count=settings.min_count,
            max_vocabulary=settings.max_vocabulary,
            by_characters=components.char_cell is not None,
        )
        architecture = _sequence_architecture(kinds, components, settings, codecs)
    else:
        codecs, architecture = run.codecs, run.architecture
    task = sequence_task(training, validation, codecs, components, settings, architecture, device)
    return TrainingJob(task, components, settings, device, additions)


def job_of_run(run: Run[Any], texts: TrainingTexts, settings: Any, additions: Additions) -> TrainingJob:
    """Return the training of a run, of whatever kind it is, as it was begun; its last checkpoint is still to be loaded.

    Args:
        run: that is gone on with.
        texts: that it was begun with.
        settings: resolved; with what changes on resuming.
        additions: the user's own.

    Raises:
        PluginError: a cell does not work.
        TextError: a text cannot be read.
    """
    if isinstance(run, LanguageRun):
        return language_job(texts, run.components, settings, additions, run)
    assert isinstance(run, SequenceRun)
    kinds = run.architecture.inputs, run.architecture.outputs
    training, validation = (
        [example for path in paths for example in read_examples(path, *kinds)]
        for paths in (texts.training, texts.validation)
    )
    return sequence_job(training, validation, kinds, run.components, settings, additions, run)


def _sequence_architecture(
    kinds: tuple[str, str], components: Components, settings: SequenceSettings, codecs: Codecs
) -> SequenceArchitecture:
    characters = codecs.inputs.characters if isinstance(codecs.inputs, TokenCodec) else None
    return SequenceArchitecture.choose(
        settings,
        inputs=kinds[0],
        outputs=kinds[1],
        input_size=codecs.inputs.size,
        output_size=codecs.outputs.size,
        bidirectional=components.cell.spec.bidirectional,
        characters=0 if characters is None else len(characters),
        char_bidirectional=components.char_cell is not None and components.char_cell.spec.bidirectional,
    )
