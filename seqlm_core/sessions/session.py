"""One process's work on a run: the model, the task and the extensions, put together."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqlm_core.engine.mxnet import mx
from seqlm_core.errors import RunError, SettingError, TrainingInterrupted
from seqlm_core.model.build import load_weights, weights_of
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.native.training import MXNET, kernels_in_use
from seqlm_core.plugins.components import Components
from seqlm_core.plugins.files import plugin_flags
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.run import Run
from seqlm_core.runs.training_texts import TrainingTexts
from seqlm_core.settings.schedules import OF_A_USER, Schedule
from seqlm_core.settings.settings import TrainingSettings
from seqlm_core.storage.checkpoint import Checkpoint, select
from seqlm_core.storage.schema import OBJECT, check
from seqlm_core.training.extension import Extension, title
from seqlm_core.training.extensions.anomalies import Anomalies
from seqlm_core.training.extensions.checkpoints import Checkpoints
from seqlm_core.training.extensions.early_stopping import EarlyStopping
from seqlm_core.training.extensions.history import History
from seqlm_core.training.extensions.interrupts import Interrupts
from seqlm_core.training.extensions.plot import Plot
from seqlm_core.training.extensions.progress import Progress
from seqlm_core.training.extensions.validation import Validation
from seqlm_core.training.loop import Training
from seqlm_core.training.task import Task
from seqlm_core.training.updates import Updates
from seqlm_core.version import __version__

logger = logging.getLogger("seqlm")

# The extensions that every training has and that have a state.
OWN_STATES = (Validation.name, EarlyStopping.name, History.name)


class Session:
    """A training in this process, from the beginning or from a run's last checkpoint.

    Args:
        task: what is trained; with an initialized model.
        components: the plugins.
        settings: resolved, so that nothing is left to a plugin's default.
        device: where to compute.

    Raises:
        PluginError: a cell does not work.
    """

    def __init__(self, task: Task, components: Components, settings: TrainingSettings, device: mx.Context) -> None:
        self.task = task
        self.components = components
        self.settings = settings
        self.device = device
        self.init_from: str | None = None
        self.own_extensions: list[Extension] = []
        self.schedule: Schedule | None = None
        self._checkpoints: Checkpoints | None = None
        self.learning_rate = settings.learning_rate or components.optimizer.spec.default_learning_rate
        self.parameters = unique_parameters(task.model)
        optimizer = components.build_optimizer(self.learning_rate)
        self.updates = Updates(self.parameters, optimizer, settings.clip_norm, components.optimizer.spec)

    def take_weights(self, run: Run) -> None:
        """Begin with the best weights of another run of the same architecture."""
        load_weights(self.task.model, run.weights, self.device)
        self.init_from = str(run.path.resolve())

    def extend(self, extensions: Sequence[Extension], schedule: Schedule | None) -> None:
        """Have a user's own extensions called, and the learning rate follow a user's own function.

        Raises:
            SettingError: the settings say that there is such a function, and it is not given.
        """
        self.own_extensions = list(extensions)
        self.schedule = schedule
        name = self.settings.schedule
        if schedule is None and name.startswith(OF_A_USER):
            raise SettingError(
                "schedule",
                f"is the {name!r}, which a run cannot hold; go on from Python, and give it again: "
                "seqlm_core.resume(path, schedule=...)",
            )

    def write_description(self, directory: RunDirectory, texts: TrainingTexts) -> None:
        """Write what describes a new run: its configuration, and what the model's inputs and outputs mean."""
        self.task.write_files(directory)
        directory.write_config(
            {
                **self.task.describe(),
                "seqlm": __version__,
                "settings": dataclasses.asdict(self.settings),
                "plugins": self.components.to_json(),
                "texts": texts.to_json(),
                "init_from": self.init_from,
                "extensions": [title(extension) for extension in self.own_extensions],
                "versions": {
                    "mxnet": mx.__version__,
                    "numpy": np.__version__,
                    "python": platform.python_version(),
                },
                "threads": os.environ["OMP_NUM_THREADS"],
                "kernels": kernels_in_use(self.device),
            }
        )

    def begin(self, directory: RunDirectory, quiet: bool, checkpoint: Checkpoint | None = None) -> None:
        """Get ready to train in ``directory``, from its last checkpoint if one is given.

        Raises:
            RunError: the checkpoint does not fit.
        """
        self.directory = directory
        self._interrupts = Interrupts()
        self._early_stopping = EarlyStopping(self.settings.patience)
        self.training = self._training(directory, quiet)
        if checkpoint is not None:
            self._restore(checkpoint)

    @property
    def has_saved_steps(self) -> bool:
        """Whether the run has a checkpoint after its first step."""
        return self._checkpoints is not None and self._checkpoints.saved_step > 0

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.training.step >= self.training.total_steps or self._early_stopping.is_due

    @property
    def can_be_longer(self) -> bool:
        """Whether a finished run goes on if it is given more epochs."""
        return self.settings.schedule == "constant" and not self._early_stopping.is_due

    def run(self) -> None:
        """Train to the end.

        Raises:
            TrainingInterrupted: a signal ended the training, and its state is saved.
        """
        self._say_what_is_trained()
        try:
            self.training.run()
        except OSError as error:
            if not self.directory.path.exists():
                raise RunError(f"{self.directory.path} was removed while it was trained into") from error
            raise RunError(f"{self._what_failed(error)}; {self._what_is_left}") from error
        received = self._interrupts.received
        if received is not None and self.training.stop_reason == "interrupted":
            raise TrainingInterrupted(
                f"interrupted at step {self.training.step} and saved; go on with: {self._resume_command}", received
            )

    def _what_failed(self, error: OSError) -> str:
        """Tell what the system refused, which may be about another file than one of the run."""
        directory = self.directory.path
        file = Path(os.fsdecode(error.filename)) if error.filename else directory
        is_ours = file == directory or directory in file.parents
        return f"{file}{' cannot be written' if is_ours else ''}: {error.strerror or error}"

    @property
    def _what_is_left(self) -> str:
        """What a user has of the run after an error."""
        if self.directory.replaces is not None:
            return f"the run in {self.directory.place} is as it was"
        if not self.directory.last.exists():
            return "nothing of the run was saved"
        return f"the last checkpoint is whole: mend this and go on with: {self._resume_command}"

    @property
    def _resume_command(self) -> str:
        flags = plugin_flags(self.components.to_json())
        return f"{self.task.resume_command} {shlex.quote(str(self.directory.place))}{flags}"

    def _training(self, directory: RunDirectory, quiet: bool) -> Training:
        settings = self.settings
        self._checkpoints = Checkpoints(directory, lambda: weights_of(self.task.model), settings.checkpoint_every)
        # In this order: figures first, then what decides by them, then what writes them down. Those of users may add
        # figures, too, and change weights before they are saved.
        extensions: list[Extension] = [Validation(), self._early_stopping]
        if settings.detect_anomaly:
            extensions.append(Anomalies())
        extensions += self.own_extensions
        extensions.append(History(directory))
        if not quiet:
            progress = Progress()
            extensions += [progress, *self.task.watchers(self.components, progress.message)]
        extensions += [
            self._checkpoints,
            Plot(directory, f"{settings.cell}, {directory.place.name}", self.task.loss_name),
            self._interrupts,  # last, so that the signals are handled until everything is saved
        ]
        reseed = self.components.draw_from_mxnet
        return Training(
            self.task,
            self.updates,
            self.learning_rate,
            settings,
            extensions,
            reseed,
            schedule=self.schedule,
            path=directory.place,
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        arrays, state = checkpoint
        load_weights(self.task.model, select(arrays, "model"), self.device)
        try:
            check(state, {"training": {"extensions": dict.fromkeys(OWN_STATES, OBJECT)}}, "its state")
            self.training.restore(state["training"])
        except ValueError as error:
            raise RunError(f"{self.directory.last} is damaged, so the run cannot go on: {error}") from error
        self.updates.restore(select(arrays, "optimizer"), self.training.step)
        self.task.restore(select(arrays, "task"))

    def _say_what_is_trained(self) -> None:
        s = self.settings
        weights = sum(int(np.prod(parameter.shape)) for parameter in self.parameters.values())
        logger.info(
            "%s with %d x %d units (%s weights); run: %s",
            s.cell,
            s.layers,
            s.hidden_size,
            f"{weights:,}",
            self.directory.place,
        )
        kernels, threads = kernels_in_use(self.device), os.environ["OMP_NUM_THREADS"]
        logger.info(
            "computing on %s with %s, %s thread%s",
            self.device,
            "MXNet's operators" if kernels == MXNET else f"{kernels} kernels",
            threads,
            "" if threads == "1" else "s",
        )
        if 2 * s.warmup > self.training.total_steps:
            logger.info(
                "the learning rate rises over %d steps, and there are %d: a lower --warmup may learn more",
                s.warmup,
                self.training.total_steps,
            )
        for notice in self.task.notices():
            logger.info("%s", notice)
