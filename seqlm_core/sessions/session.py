"""A training in this process: the loop with its extensions, from the beginning or from the run's last checkpoint."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Callable

import numpy as np

from seqlm_core.errors import RunError, SettingError, TrainingInterrupted
from seqlm_core.model.build import load_weights
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.native.training import MXNET, ON_GPU, backend_in_use, missing_kernels
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.sessions.job import TrainingJob
from seqlm_core.settings.fields import chosen
from seqlm_core.settings.schedules import OF_A_USER, PLATEAU, WITHOUT_END
from seqlm_core.storage.checkpoint import Checkpoint, select
from seqlm_core.storage.schema import OBJECT, check
from seqlm_core.training.extension import Extension
from seqlm_core.training.extensions.anomalies import Anomalies
from seqlm_core.training.extensions.averaging import averaging
from seqlm_core.training.extensions.checkpoints import Checkpoints
from seqlm_core.training.extensions.early_stopping import EarlyStopping
from seqlm_core.training.extensions.history import History
from seqlm_core.training.extensions.interrupts import Interrupts
from seqlm_core.training.extensions.plateau import Plateau
from seqlm_core.training.extensions.plot import Plot
from seqlm_core.training.extensions.progress_display import progress_on_standard_error
from seqlm_core.training.extensions.samples import Samples
from seqlm_core.training.extensions.tensorboard import TensorBoard
from seqlm_core.training.extensions.validation import Validation
from seqlm_core.training.loop import TrainingLoop
from seqlm_core.training.updates import Updates
from seqlm_core.training.weight_average import WeightAverage

logger = logging.getLogger("seqlm")

# The names of the extensions with a state that every training has.
OWN_STATES = (Validation.name, EarlyStopping.name, History.name)


class Session:
    """A training in this process.

    Args:
        job: the prepared training.
        directory: the directory of the run.
        quiet: whether to show neither progress nor samples.
        checkpoint: the checkpoint to go on from; None begins a training.

    Raises:
        RunError: the checkpoint does not fit the training.
        SettingError: the schedule was a function of the user, which is not given now; or the weight decay is too large.
    """

    def __init__(
        self, job: TrainingJob, directory: RunDirectory, quiet: bool, checkpoint: Checkpoint | None = None
    ) -> None:
        self.job = job
        self.directory = directory
        settings, optimizer, schedule = job.settings, job.components.optimizer.spec, job.user_code.schedule
        if schedule is None and settings.schedule.startswith(OF_A_USER):
            raise SettingError(
                "schedule",
                f"is the {settings.schedule!r}, which a run cannot hold; go on from Python, and give it again: "
                "seqlm_core.resume(path, schedule=...)",
            )
        self._parameters = unique_parameters(job.task.network)
        self._average = WeightAverage(self._parameters)
        self._validation = Validation(self._average)
        self._averaging = averaging(settings, self._average, self._validation)
        self._plateau = Plateau() if settings.schedule == PLATEAU else None
        learning_rate, weight_decay = chosen(settings.learning_rate), chosen(settings.weight_decay)
        if weight_decay * learning_rate >= 1:
            raise SettingError(
                "weight_decay",
                f"must be below {1 / learning_rate:g} at a learning rate of {learning_rate:g}: their product is the "
                "share of each weight that a step takes",
            )
        self._is_new = checkpoint is None
        self._interrupts = Interrupts()
        self._early_stopping = EarlyStopping(settings.patience)
        self._loop = TrainingLoop(
            job.task,
            Updates(
                self._parameters,
                job.components.build_optimizer(learning_rate),
                settings.clip_norm,
                optimizer,
                weight_decay,
                job.task.embedding_rows,
            ),
            learning_rate,
            settings,
            self._extensions(quiet),
            job.components.draw_from_mxnet,
            schedule=schedule if self._plateau is None else self._plateau.factor,
            path=directory.final_path,
        )
        if checkpoint is not None:
            self._restore(checkpoint)

    @property
    def step(self) -> int:
        """The number of steps done."""
        return self._loop.step

    @property
    def _own_states(self) -> tuple[str, ...]:
        """The names of the states that a checkpoint must hold."""
        chosen = [extension.name for extension in (self._plateau, self._averaging) if extension is not None]
        return (*OWN_STATES, *chosen)

    @property
    def is_finished(self) -> bool:
        """Whether the training has ended: no steps are left, or it was stopped early."""
        return self._loop.step >= self._loop.total_steps or self._early_stopping.is_due

    @property
    def can_be_longer(self) -> bool:
        """Whether a finished run can go on with more epochs."""
        return self.job.settings.schedule in WITHOUT_END and not self._early_stopping.is_due

    def run(self) -> None:
        """Train to the end, together with all workers.

        Raises:
            NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
            RunError: a file of the run cannot be written.
            TrainingInterrupted: a signal ended the training, and its state is saved.
        """
        if self.job.task.workers.leads:
            self._say_what_is_trained()
        try:
            self._loop.run()
        except OSError as error:
            raise self._write_failure(error) from error
        received = self._interrupts.received
        if received is not None and self._loop.stop_reason == "interrupted":
            raise TrainingInterrupted(f"interrupted at step {self.step} and saved", received, self.directory.final_path)

    def _extensions(self, quiet: bool) -> list[Extension]:
        """Return all extensions in their order: those that add figures, then those that use them and save something.

        Those of users come before the history, so that they can add figures, and change weights before they are saved.
        """
        job, settings = self.job, self.job.settings
        extensions: list[Extension] = [self._validation, self._early_stopping]
        if self._plateau is not None:
            extensions.append(self._plateau)
        if settings.detect_anomaly:
            extensions.append(Anomalies())
        extensions += job.user_code.extensions
        if self._averaging is not None:
            extensions.append(self._averaging)
        leads = job.task.workers.leads
        if leads:
            shown: list[Callable[[int, str], None]] = []
            history = History(self.directory)
            extensions.append(history)
            if not quiet:
                progress = progress_on_standard_error(self.directory)
                extensions.append(progress)
                shown.append(progress.show_sample)
            if settings.tensorboard:
                tensorboard = TensorBoard(self.directory, Path(settings.tensorboard), self._is_new)
                extensions.append(tensorboard)
                shown.append(tensorboard.show_sample)
            if job.sampler is not None and job.sample_every:
                extensions.append(Samples(job.sample_every, job.sampler, history.add, self._average, shown))
        extensions += [
            Checkpoints(
                self.directory,
                self._parameters,
                self._average,
                settings.checkpoint_every,
                is_new=self._is_new,
                writes=leads,
            )
        ]
        if leads:
            extensions.append(
                Plot(self.directory, f"{settings.cell}, {self.directory.final_path.name}", job.task.loss_name)
            )
        extensions.append(self._interrupts)  # last, so that signals are handled until everything is saved
        return extensions

    def _restore(self, checkpoint: Checkpoint) -> None:
        arrays, state = checkpoint
        load_weights(self.job.task.network, select(arrays, "model/"), self.job.device)
        try:
            check(state, {"training": {"extensions": dict.fromkeys(self._own_states, OBJECT)}}, "its state")
            if not self.job.task.workers.leads:
                del state["training"]["extensions"][History.name]
            self._loop.restore(state["training"])
        except ValueError as error:
            raise RunError(f"{self.directory.last} is damaged, so the run cannot go on: {error}") from error
        self._loop.updates.restore(select(arrays, "optimizer/"), self._loop.step)
        self.job.task.restore(select(arrays, "task/"))
        averaged = 0 if self._averaging is None else self._averaging.restored_steps
        self._average.restore(select(arrays, "average/"), averaged)

    def _write_failure(self, error: OSError) -> RunError:
        """Return the error to raise after an error of the system, which may concern a file outside of the run."""
        directory = self.directory
        if not directory.path.exists():
            return RunError(f"{directory.path} was removed while it was trained into")
        file = Path(os.fsdecode(error.filename)) if error.filename else directory.path
        is_ours = file == directory.path or directory.path in file.parents
        failed = f"{file}{' cannot be written' if is_ours else ''}: {error.strerror or error}"
        if directory.replaces is not None:
            return RunError(f"{failed}; the run in {directory.final_path} is as it was")
        if not directory.last.exists():
            return RunError(f"{failed}; nothing of the run was saved")
        return RunError(f"{failed}; the last checkpoint is whole: mend this first", resumable=directory.final_path)

    def _say_what_is_trained(self) -> None:
        settings, device = self.job.settings, self.job.device
        weights = sum(int(np.prod(parameter.shape)) for parameter in self._parameters.values())
        logger.info(
            "%s with %s units (%s weights); run: %s",
            settings.cell,
            settings.units,
            f"{weights:,}",
            self.directory.final_path,
        )
        if self.job.chosen:
            values = ", ".join(f"`{name}` {value}" for name, value in self.job.chosen.items())
            logger.info("chosen for a text of this size: %s", values)
        backend, threads = backend_in_use(device), os.environ["OMP_NUM_THREADS"]
        by = "MXNet's operators" if backend in (MXNET, ON_GPU) else f"{backend} kernels"
        beside = f", {threads} thread{'' if threads == '1' else 's'}"
        logger.info("computing on %s with %s%s", device, by, "" if backend == ON_GPU else beside)
        if (missing := missing_kernels(device)) is not None:
            logger.info("%s", missing)
        if 2 * settings.warmup > self._loop.total_steps:
            logger.info(
                "the learning rate rises over %d steps, and there are %d: a lower `warmup` may learn more",
                settings.warmup,
                self._loop.total_steps,
            )
        for notice in self.job.task.notices():
            logger.info("%s", notice)
