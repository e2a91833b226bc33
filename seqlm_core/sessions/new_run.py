"""A new run: its directory made, described, and trained into."""

from __future__ import annotations

import dataclasses
import os
import platform

import numpy as np

from seqlm_core.engine.mxnet import mx
from seqlm_core.errors import RunError, UsageError
from seqlm_core.native.training import kernels_in_use
from seqlm_core.runs import replacement
from seqlm_core.runs.destination import check_destination, make_run_directory, run_name
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.training_texts import TrainingTexts
from seqlm_core.sessions.job import TrainingJob
from seqlm_core.sessions.session import Session
from seqlm_core.settings.arguments import PathLike
from seqlm_core.storage.locking import locked
from seqlm_core.training.extension import title
from seqlm_core.version import __version__


def train_new_run(
    job: TrainingJob, texts: TrainingTexts, out: PathLike | None, overwrite: bool, quiet: bool
) -> RunDirectory:
    """Train to the end, and return the directory of the run.

    Args:
        job: what is trained, and how.
        texts: what is trained on.
        out: the run directory; ``data/models/TEXT-CELL-N`` without it.
        overwrite: replace the run that is there.
        quiet: show neither progress nor samples.

    Raises:
        UsageError: ``out`` cannot be used.
        NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
        TrainingInterrupted: a signal ended the training, which can be resumed.
    """
    directory = make_run_directory(out, run_name(texts.name, job.components.cell.spec.name))
    with locked(directory.path):
        directory.remove_leftovers()
        check_destination(out, overwrite)  # again, now that nobody else can change the answer
        directory = _begin(directory, texts)
        session = None
        try:
            texts = texts.keep(directory)
            _describe(job, directory, texts)
            session = Session(job, directory, quiet)
            session.run()
        except BaseException as error:
            if _is_to_be_removed(directory, session, texts, error):
                _remove(directory)
            raise
    return directory


def _describe(job: TrainingJob, directory: RunDirectory, texts: TrainingTexts) -> None:
    """Write what describes the run: its configuration, and what the model's inputs and outputs mean."""
    job.task.write_files(directory)
    directory.write_config(
        {
            **job.task.describe(),
            "seqlm": __version__,
            "settings": dataclasses.asdict(job.settings),
            "plugins": job.components.to_json(),
            "texts": texts.to_json(),
            "init_from": None if job.init_from is None else str(job.init_from),
            "extensions": [title(extension) for extension in job.additions.extensions],
            "versions": {
                "mxnet": mx.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "threads": os.environ["OMP_NUM_THREADS"],
            "kernels": kernels_in_use(job.device),
        }
    )


def _begin(directory: RunDirectory, texts: TrainingTexts) -> RunDirectory:
    """Return where a new run begins: in the directory, or, if there is a run already, in a folder for its replacement.

    Raises:
        UsageError: a text belongs to the run that is replaced, or the directory may not be written to.
    """
    replaced = {path.resolve() for path in directory.files}
    for text in texts.training + texts.validation:
        if text.path.resolve() in replaced:
            raise UsageError(f"{text.path} belongs to the run that `overwrite` would replace; copy it elsewhere first")
    for path in directory.files:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and a run has a file of that name; move it away")
    try:
        if directory.config.exists():
            directory = dataclasses.replace(directory, path=replacement.stage(directory.path), replaces=directory.path)
        else:
            replacement.remove_files(directory.path, directory.names)
        directory.history.touch()
    except OSError as error:
        if directory.replaces is not None:
            replacement.discard(directory.replaces)
        raise UsageError(f"`out` {directory.place} cannot be written to: {error.strerror}") from error
    return directory


def _is_to_be_removed(
    directory: RunDirectory, session: Session | None, texts: TrainingTexts, error: BaseException
) -> bool:
    """Whether an error has left nothing of a run that is worth keeping."""
    if directory.replaces is not None:
        return True  # the old run is there as it was
    has_saved_steps = session is not None and session.has_saved_steps
    if has_saved_steps or texts.cannot_be_had_again or not isinstance(error, Exception):
        return False
    # Where the disk is full, say, a run that was begun can go on.
    return not isinstance(error, RunError) or not directory.last.exists()


def _remove(directory: RunDirectory) -> None:
    """Remove the run's files, and the directory if nothing else is in it."""
    if directory.replaces is not None:
        replacement.discard(directory.replaces)
    elif directory.path.is_dir():
        replacement.remove_files(directory.path, directory.names)
        if not any(directory.path.iterdir()):
            directory.path.rmdir()
