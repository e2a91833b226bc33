"""Resuming a run of any kind."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqlm_core.engine.threads import usable_cores
from seqlm_core.errors import RunError, UsageError
from seqlm_core.runs.config import is_compressed
from seqlm_core.runs.opening import open_run
from seqlm_core.runs.run import Run
from seqlm_core.runs.settings_of_run import resumed_settings
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.sessions.user_code import UserCode, split_user_code
from seqlm_core.settings.arguments import PathLike
from seqlm_core.storage.locking import locked
from seqlm_core.training.event_files import check_event_folder
from seqlm_core.training.extension import Extension, title
from seqlm_core.workers.joining import joined
from seqlm_core.workers.workers import Workers

if TYPE_CHECKING:
    from seqlm_core.sessions.job import TrainingJob

logger = logging.getLogger("seqlm")


def resume(
    path: PathLike,
    *,
    quiet: bool = False,
    extensions: Sequence[Extension] = (),
    kvstore: str | None = None,
    language_model: PathLike | None = None,
    **changes: Any,
) -> Any:
    """Resume a training that ended early from its last checkpoint. A finished run is not changed.

    Args:
        path: the run directory, of a language model or a sequence model.
        quiet: whether to show neither progress nor samples.
        extensions: the user's extensions. Those of the run that have a state must be given again; others may be added.
        kvstore: as for :func:`~seqlm_core.train`. The number of workers may be another one than before.
        language_model: where the language model is now whose states a sequence model reads; None means where it was.
        changes: settings that may change without changing the steps done: ``epochs`` and ``max_steps`` (with the
            schedules ``constant`` and ``plateau``), ``checkpoint_every``, ``device``, ``log_every``, ``sample_every``,
            ``tensorboard``. A ``schedule`` that is a function must be given again.

    Returns:
        The run, a :class:`~seqlm_core.runs.language_run.LanguageRun` or a
        :class:`~seqlm_core.runs.sequence_run.SequenceRun`.

    Raises:
        RunError: the directory holds no run or is damaged, a text is missing or has changed, or the state of an
            extension would be lost, since the extension is not given.
        PluginError: a plugin, an extension or a schedule fails.
        SettingError: after a change, the run would differ from an uninterrupted one.
        NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
        TrainingInterrupted: a signal ended the training, which can be resumed.
    """
    user_code, changes = split_user_code(extensions, changes)
    run = open_run(path, language_model)
    if is_compressed(run.config):
        raise UsageError(f"{run.path} is compressed, so it cannot go on; `init_from` begins another with its weights")
    if run.imported_from is not None:
        raise RunError(
            f"{run.path} was imported from {run.imported_from}, so there is no training to go on with; `init_from` "
            "begins one with its weights"
        )
    settings = resumed_settings(run, changes)
    directory = run.directory
    if directory.best.exists() and not directory.last.exists():
        raise RunError(f"{directory.last} is missing, so the run cannot go on; its best weights are still there to use")
    files = TrainingFiles.of_run(directory, run.config["texts"])
    threads = int(run.config["threads"])
    os.environ.setdefault("OMP_NUM_THREADS", str(min(threads, usable_cores())))
    with joined(kvstore) as workers:
        with locked(directory.path) if workers.leads else contextlib.nullcontext():
            if workers.leads:
                check_event_folder(settings.tensorboard, is_new=False)
            _go_on(run, files, settings, user_code, quiet or not workers.leads, workers)
        if not workers.leads:
            sys.exit(0)
    return run


def _go_on(
    run: Run[Any], files: TrainingFiles, settings: Any, user_code: UserCode, quiet: bool, workers: Workers
) -> None:
    from seqlm_core.engine.mxnet import readable_failures
    from seqlm_core.native.training import chosen_backend
    from seqlm_core.sessions.job import job_of_run
    from seqlm_core.sessions.sameness import described
    from seqlm_core.sessions.session import Session

    directory = run.directory
    with readable_failures(), chosen_backend(run.config["kernels"], int(run.config["threads"])):
        if workers.leads:
            directory.remove_leftovers()
        checkpoint = run.last_checkpoint()  # checked first, since a network of wrong sizes might exceed the memory
        job = job_of_run(run, files, settings, user_code, quiet=quiet, workers=workers)
        _report_differences(run.config, job)
        session = Session(job, directory, quiet, checkpoint)
        _warn_of_missing(user_code.extensions, run.config.get("extensions", []))
        workers.check_same(described(job, files, session.step))
        if workers.leads:
            workers.begin(directory.final_path)
            _record_step_problem(run, job)
        if session.is_finished:
            more = (
                "a larger `epochs` or `max_steps` goes on with it"
                if session.can_be_longer
                else "`init_from` begins another with its weights"
            )
            logger.info("the run is finished: %d steps are done; %s", session.step, more)
            return
        if settings != run.settings and workers.leads:
            run.change_settings(settings)
        session.run()


def _record_step_problem(run: Run[Any], job: TrainingJob) -> None:
    """Record again whether the cell's step is wrong, since its plugin may have changed."""
    problem = job.task.describe().get("step_problem")
    if problem != run.config.get("step_problem"):
        run.config["step_problem"] = problem
        run.directory.write_config(run.config)


def _warn_of_missing(given: Sequence[Extension], recorded: Sequence[str]) -> None:
    """Warn of extensions that the run began with and that are not given. (If one has a state, that is an error.)"""
    missing = [name for name in recorded if name not in {title(extension) for extension in given}]
    if missing:
        logger.warning("the run was begun with extensions that are not given now: %s", ", ".join(missing))


def _report_differences(config: Mapping[str, Any], job: TrainingJob) -> None:
    """Report differences to how the run began: a warning if results will differ, else a notice."""
    from seqlm_core.native.training import MOST_MEMBERS, MXNET, ON_GPU, backend_in_use

    backend, backend_now = config["kernels"], backend_in_use(job.device)
    threads = int(config["threads"])
    threads_now = threads if backend_now == ON_GPU else int(os.environ["OMP_NUM_THREADS"])  # a GPU has its own
    if backend_now != backend:
        logger.warning(
            "the run was begun with %s kernels and goes on with %s, so results will not be the same to the bit",
            backend,
            backend_now,
        )
    elif threads != threads_now and (backend == MXNET or threads > MOST_MEMBERS):
        logger.warning(
            "the run was begun with OMP_NUM_THREADS=%d and goes on with %d, so results will not be the same to the bit",
            threads,
            threads_now,
        )
    elif (workers := int(config.get("workers", 1))) != job.task.workers.count or workers > 2:
        logger.info(
            "the run was begun with %d worker%s and goes on with %d, so results will be the same to rounding only",
            workers,
            "" if workers == 1 else "s",
            job.task.workers.count,
        )
    elif threads != threads_now:
        logger.info(
            "the run was begun with OMP_NUM_THREADS=%d and goes on with %d, which divide the work in the same way",
            threads,
            threads_now,
        )
