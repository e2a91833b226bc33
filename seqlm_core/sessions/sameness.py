"""What must be the same with all workers of a training, so that they compute the same."""

from __future__ import annotations

import dataclasses
import os
import platform
from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import mx
from seqlm_core.native.training import backend_in_use
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.sessions.job import TrainingJob
from seqlm_core.storage.files import json_digest
from seqlm_core.version import __version__

DIGITS = 12


def described(job: TrainingJob, files: TrainingFiles, step: int = 0) -> dict[str, str]:
    """Return what a training depends on, by what users call it.

    Args:
        job: the training.
        files: the files of texts or examples, as they were read.
        step: the number of steps done.
    """
    description = job.task.describe()
    digests = [file.fingerprint.digest for file in (*files.training, *files.validation)]
    return {
        "the version of seqlm": __version__,
        "the version of MXNet": mx.__version__,
        "the version of NumPy": np.__version__,
        "the version of Python": platform.python_version(),
        "plugins": _short(job.components.to_json()),
        "settings": _short({**dataclasses.asdict(job.settings), "tensorboard": None}),  # a path of the first worker
        "texts or examples": _short(digests),
        "vectors and language model": _short([description.get(name) for name in ("vectors", "language_model")]),
        "steps done": str(step),
        "the kernels that compute": backend_in_use(job.device),
        "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
    }


def _short(values: Any) -> str:
    return json_digest(values)[:DIGITS]
