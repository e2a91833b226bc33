"""Training a new run, and the description of it in its directory."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
from pathlib import Path

import numpy as np

from seqlm_core.engine.mxnet import mx
from seqlm_core.native.training import backend_in_use, training_precision
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.new_run import DEFAULT_PARENT, new_run_directory
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.sessions.job import TrainingJob
from seqlm_core.sessions.sameness import described
from seqlm_core.sessions.session import Session
from seqlm_core.settings.arguments import PathLike
from seqlm_core.training.extension import title
from seqlm_core.training.extensions.averaging import check_average_can_begin
from seqlm_core.version import __version__


def train_new_run(
    job: TrainingJob, files: TrainingFiles, out: PathLike | None, overwrite: bool, quiet: bool
) -> RunDirectory:
    """Train a new run to the end, and return its directory. A worker that does not lead ends its process then.

    Args:
        job: the prepared training.
        files: the files of texts or examples that are trained on.
        out: the run directory; None means ``data/models/TEXT-CELL-N``.
        overwrite: whether to replace a run that is there.
        quiet: whether to show neither progress nor samples.

    Raises:
        UsageError: ``out`` cannot be used.
        SettingError: the weights are to be averaged, and this would never begin; or nothing here computes with the
            precision.
        NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
        TrainingInterrupted: a signal ended the training, which can be resumed.
    """
    check_average_can_begin(job.settings, job.task)
    workers = job.task.workers
    with training_precision(job.settings.precision, job.device):
        workers.check_same(described(job, files))
        if not workers.leads:
            Session(job, RunDirectory(Path(out or DEFAULT_PARENT)), quiet).run()
            sys.exit(0)
        with new_run_directory(files, job.components.cell.spec.name, out, overwrite) as directory:
            _describe(job, directory, files.keep(directory))
            workers.begin(directory.final_path)
            Session(job, directory, quiet).run()
    return directory


def _describe(job: TrainingJob, directory: RunDirectory, files: TrainingFiles) -> None:
    """Write the files that describe the run: its configuration, and the meaning of the model's inputs and outputs."""
    job.task.write_files(directory)
    directory.write_config(
        {
            **job.task.describe(),
            "seqlm": __version__,
            "settings": dataclasses.asdict(job.settings),
            "plugins": job.components.to_json(),
            "texts": files.to_json(),
            **({} if files.read_from is None else {"read_from": dict(files.read_from)}),
            "init_from": None if job.init_from is None else str(job.init_from),
            "extensions": [title(extension) for extension in job.user_code.extensions],
            "versions": {
                "mxnet": mx.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "threads": os.environ["OMP_NUM_THREADS"],
            "workers": job.task.workers.count,
            "kernels": backend_in_use(job.device),
        }
    )
