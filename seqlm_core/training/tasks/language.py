"""The task of language modelling: the windows that a model is trained on, its loss, and its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.errors import RunError, SettingError
from seqlm_core.evaluation.language import LanguageEvaluation, LanguageEvaluator
from seqlm_core.generation.step_check import step_problem, warn_of_step, without_step
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network, check_cells_work
from seqlm_core.model.graph_windows import GraphWindows
from seqlm_core.model.graphs import WindowLoss
from seqlm_core.model.initialization import initialize
from seqlm_core.model.language_network import LanguageNetwork
from seqlm_core.model.penalties import Penalties
from seqlm_core.plugins.components import Components
from seqlm_core.reading.corpus import Corpus
from seqlm_core.reading.windows import WindowPlan
from seqlm_core.runs.config import LANGUAGE_MODEL
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.settings.fields import chosen
from seqlm_core.settings.settings import READ_ROWS, LanguageSettings
from seqlm_core.storage.checkpoint import layout
from seqlm_core.training.dropout import with_rates_for
from seqlm_core.training.embedding_rows import EmbeddingRows
from seqlm_core.training.extensions.anomalies import is_finite
from seqlm_core.training.extensions.samples import ModelSampler
from seqlm_core.training.tasks.windows import Window, Windows
from seqlm_core.workers.workers import ALONE, Workers


class LanguageModelling:
    """Trains a language model by truncated backpropagation through time.

    Args:
        network: an initialized network.
        corpus: the text to train and validate on.
        settings: the settings of the training.
        workers: those who train together; each has some of the streams.

    Attributes:
        step_problem: what is wrong with the cell's step, so that texts are sampled with its layer; None if no problem
            is known.
    """

    name = LANGUAGE_MODEL
    loss_name = "nats_per_token"
    unit = "tokens"

    def __init__(
        self, network: LanguageNetwork, corpus: Corpus, settings: LanguageSettings, workers: Workers = ALONE
    ) -> None:
        if network.backward_stack is not None and settings.sequence_length < 2:
            raise SettingError("sequence_length", "must be at least 2 for a bidirectional cell")
        self.network = network
        self.corpus = corpus
        self.settings = settings
        self.step_problem: str | None = None
        self.plan = WindowPlan.fit(
            len(corpus.training), settings.sequence_length, chosen(settings.batch_size), corpus.training.name
        )
        self.workers = workers
        penalties = Penalties(chosen(settings.activation_penalty), settings.temporal_activation_penalty)
        self.embedding_rows: EmbeddingRows | None = None
        if settings.embedding_updates == READ_ROWS:
            length = settings.sequence_length + (network.backward_stack is not None)
            self.embedding_rows = EmbeddingRows(network.input, most=self.plan.batch_size * length)
        self.windows = Windows(network, corpus.training, self.plan, settings, self.embedding_rows, workers)
        rows = None if self.embedding_rows is None else self.embedding_rows.input
        self._window_loss = WindowLoss(network, settings.sequence_length, penalties, rows)
        streams = self.windows.streams
        self._fresh_states = self._states = network.begin_state(streams)
        self._fresh_backward_states = network.begin_backward_state(streams)
        self._reset_states = network.reset_states(streams)
        self._backward_reset_states = network.backward_reset_states(streams)
        self._evaluator = (
            LanguageEvaluator(
                GraphWindows(network),
                corpus.validation,
                settings.sequence_length,
                chosen(settings.batch_size),
                workers,
            )
            if corpus.validation is not None
            else None
        )

    @property
    def steps_per_epoch(self) -> int:
        """The number of training steps in an epoch."""
        return self.plan.windows

    @property
    def predictions_per_step(self) -> int:
        """The number of tokens that are predicted in a training step."""
        return self.windows.predictions

    @property
    def has_validation(self) -> bool:
        """Whether there is something to validate on, so that :meth:`evaluate` returns figures."""
        return self._evaluator is not None

    def describe(self) -> dict[str, Any]:
        """Return what a run's configuration records of the task and its data."""
        validation = self.corpus.validation
        described = {
            "task": self.name,
            "architecture": dataclasses.asdict(self.network.architecture),
            "training_tokens": len(self.corpus.training),
            "training_unknown_tokens": self.corpus.training.unknown_tokens,
            "validation_tokens": len(validation) if validation else 0,
            "validation_unknown_tokens": validation.unknown_tokens if validation else 0,
        }
        return described if self.step_problem is None else {**described, "step_problem": self.step_problem}

    def write_files(self, directory: RunDirectory) -> None:
        """Write the files that give the model's inputs and outputs their meaning."""
        directory.write_vocabulary(self.corpus.vocabulary)
        directory.write_tokenizer(self.corpus.tokenizer)

    def notices(self) -> list[str]:
        """Return what users should know about the data before the training begins."""
        streams, wanted = self.plan.batch_size, chosen(self.settings.batch_size)
        notices = [
            f"{len(self.corpus.training):,} tokens to train on, {self.network.architecture.vocabulary_size - 1} in the "
            "vocabulary"
        ]
        if streams < wanted:
            notices.append(f"the text is short: {streams} windows side by side instead of {wanted}")
        return notices

    def batches(self, epoch: int, first_window: int) -> Iterator[Window]:
        """Yield an epoch's windows, beginning with ``first_window``. They depend on no weights and no states."""
        return self.windows.of_epoch(epoch, first_window)

    def loss(self, window: Window) -> Any:
        """Return the loss of each prediction in nats ``(time, batch)``. Call it while autograd records.

        The states are carried over to the next call; no gradient passes from one call to another.
        """
        if window.begins_epoch:
            self._states = self._fresh_states
        elif window.resets is not None:
            self._states = [
                [nd.where(window.resets, new, old) for new, old in zip(*layers)]
                for layers in zip(self._fresh_states, self._states)
            ]
        if self.embedding_rows is not None and window.rows is not None:
            self.embedding_rows.read(window.rows)
        losses, states = self._window_loss(
            window.inputs,
            window.targets,
            self._states,
            window.masks,
            window.following,
            self._fresh_backward_states,
            window.backward_masks,
            window.right_visible,
            None if window.ends is None else [window.ends, self._reset_states],
            None if window.following_ends is None else [window.following_ends, self._backward_reset_states],
        )
        self._states = [[state.detach() for state in layer] for layer in states]
        return losses

    def evaluate(self) -> LanguageEvaluation | None:
        """Return the figures on the validation part; None if there is none."""
        return self._evaluator.evaluate() if self._evaluator else None

    def selection_loss(self, figures: LanguageEvaluation) -> float:
        """Return what is lowest with the best figures: the loss."""
        return figures.loss

    def first_non_finite_part(self, window: Window) -> str | None:
        """Return the name of the first part of the network with outputs that are not finite; None if all are finite.

        The outputs are computed without dropout and from fresh states, since those of the step are lost.
        """
        stacks = [("forward_stack", self.network.forward_stack, window.inputs, self._fresh_states)]
        if self.network.backward_stack is not None:
            stacks.append(
                ("backward_stack", self.network.backward_stack, window.following, self._fresh_backward_states)
            )
        for name, stack, read, states in stacks:
            values = (self.network.input if self.embedding_rows is None else self.embedding_rows.input)(read)
            if not is_finite(values):
                return "input"
            for index in range(len(stack.layers)):
                values, _ = stack.run_layer(index, values, states[index], len(read))
                if not is_finite(values):
                    return f"{name}.{index}"
        return None

    def state(self) -> dict[str, np.ndarray]:
        """Return the states that are carried over, of all workers; ``LAYER/K`` is the ``K``-th array of a layer."""
        return {
            f"{layer}/{k}": self.workers.gathered(f"state {layer}/{k}", state.asnumpy(), self.plan.batch_size, axis=0)
            for layer, states in enumerate(self._states)
            for k, state in enumerate(states)
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Restore a state that :meth:`state` returned.

        Raises:
            RunError: the arrays do not fit this network and batch size.
        """
        if layout(self.state()) != layout(arrays):
            raise RunError("the checkpoint's recurrent states are not those of the run's model")
        self._states = [
            [
                nd.array(arrays[f"{layer}/{k}"][self.windows.part], ctx=state.context, dtype=state.dtype)
                for k, state in enumerate(states)
            ]
            for layer, states in enumerate(self._states)
        ]


def language_task(
    corpus: Corpus,
    components: Components,
    settings: LanguageSettings,
    architecture: LanguageArchitecture,
    device: mx.Context,
    workers: Workers = ALONE,
) -> LanguageModelling:
    """Return the task of training a language model: its network has initial weights, and its settings all rates.

    Raises:
        PluginError: the cell does not work.
    """
    network = build_language_network(architecture, components.cell)
    initialize(network, settings.seed, device)
    network.head.predict_frequencies(corpus.vocabulary.expected_counts())
    check_cells_work(network, {"": components.cell.spec.name})
    all_settings = with_rates_for(network, settings)
    task = LanguageModelling(network, corpus, all_settings, workers)
    task.step_problem = step_problem(network, components.cell)
    if task.step_problem is not None:
        warn_of_step(components.cell, task.step_problem)
    return task


def model_sampler(task: LanguageModelling, components: Components) -> ModelSampler:
    """Return a sampler of the model that is trained. It uses the cell's layer if the cell's step is wrong."""
    cell = components.cell if task.step_problem is None else without_step(components.cell)
    return ModelSampler(task.network, cell, task.corpus, task.settings.seed, task.settings.documents)
