"""Going on with a run of any kind."""

from __future__ import annotations

import logging
import os
from typing import Any

from seqlm_core.errors import RunError
from seqlm_core.locking import locked
from seqlm_core.open_run import open_run
from seqlm_core.reading.text import PathLike
from seqlm_core.settings_of_run import resumed_settings
from seqlm_core.texts import TrainingTexts

logger = logging.getLogger("seqlm")


def resume(path: PathLike, *, quiet: bool = False, **changes: Any) -> Any:
    """Go on with a training that was ended early, from its last checkpoint; a finished one is left as it is.

    Args:
        path: the run directory, of a language model or a sequence model.
        quiet: show neither progress nor samples.
        changes: settings that may change without changing the steps done: ``epochs`` and ``max_steps`` (with a
            constant learning rate), ``checkpoint_every``, ``log_every``, ``sample_every``.

    Returns:
        The run: a :class:`~seqlm_core.run.Run` or a :class:`~seqlm_core.sequence_run.SequenceRun`.

    Raises:
        RunError: the directory is no run or is damaged, or a text is missing or has changed.
        SettingError: a change would give another run than an uninterrupted one.
        NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
        TrainingInterrupted: a signal ended the training, which can be resumed.
    """
    run = open_run(path)
    settings = resumed_settings(run, changes)
    directory = run.directory
    if directory.best.exists() and not directory.last.exists():
        raise RunError(f"{directory.last} is missing, so the run cannot go on; its best weights are still there to use")
    texts = TrainingTexts.of_run(directory, run.config["texts"])
    threads = run.config["threads"]
    if os.environ.setdefault("OMP_NUM_THREADS", threads) != threads:
        logger.warning(
            "the run was begun with OMP_NUM_THREADS=%s and goes on with %s, so it will not be the same to the bit",
            threads,
            os.environ["OMP_NUM_THREADS"],
        )
    from seqlm_core.mxnet import compute_device, told_failures
    from seqlm_core.native.training import chosen_kernels, kernels_in_use

    device = compute_device(settings.device)
    kernels = run.config["kernels"]
    with locked(directory.path), told_failures(), chosen_kernels(kernels):
        if kernels_in_use(device) != kernels:
            logger.warning(
                "the run was begun with %s kernels and goes on with %s, so it will not be the same to the bit",
                kernels,
                kernels_in_use(device),
            )
        session = run.session(texts, settings, device)
        session.begin(directory, quiet)
        if session.is_finished:
            logger.info("the run is finished: %d steps are done", session.training.step)
            return run
        if settings != run.settings:
            run.change_settings(settings)
        session.run()
    return run
