"""Makes a run of a PyTorch state dict and the description that goes with it."""

from __future__ import annotations

import dataclasses
import platform
import shutil
from typing import Any

import numpy as np

from seqlm_core.errors import RunError, UsageError
from seqlm_core.interchange.imported_model import ImportedModel
from seqlm_core.interchange.pytorch_export import DESCRIPTION, STATE_DICT
from seqlm_core.interchange.state_dict import read_state_dict
from seqlm_core.runs.directory import VECTORS_FILE, RunDirectory
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.new_run import check_destination, new_run_directory
from seqlm_core.runs.opening import open_run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.version import __version__


def import_pytorch(
    folder: PathLike, out: PathLike | None = None, *, overwrite: bool = False
) -> LanguageRun | SequenceRun:
    """Make a run of a model that was trained with PyTorch, and return it.

    It is used like any other run. It cannot be resumed, since there is no training to go on with, but another one can
    begin with its weights.

    Args:
        folder: a folder with ``model.safetensors`` and ``model.json``, as :func:`export_pytorch` writes them.
        out: the run directory; None means ``data/models/FOLDER-CELL-N``.
        overwrite: whether to replace a run that is in ``out``.

    Raises:
        RunError: a file is missing or damaged, the weights do not fit what ``model.json`` describes, or this names a
            setting or a plugin that is not there, or a cell without a formula that PyTorch has.
        UsageError: ``out`` cannot be used.
    """
    path = checked_path("folder", folder)
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder")
    check_destination(out, overwrite)
    model = ImportedModel.of_file(path / DESCRIPTION)
    weights = read_state_dict(path / STATE_DICT, model.shapes, model.is_tied)
    if "vectors" in model.read and not (path / VECTORS_FILE).is_file():
        raise RunError(f"{path / VECTORS_FILE} is missing, which holds the vectors that the model reads")
    files = TrainingFiles((), name=path.resolve().name)
    with new_run_directory(files, model.components.cell.spec.name, out, overwrite) as directory:
        _write_meaning(directory, model)
        if "vectors" in model.read:
            shutil.copyfile(path / VECTORS_FILE, directory.path / VECTORS_FILE)
        directory.write_config(_config(model, str(path.resolve())))
        directory.save(directory.best, {f"model/{name}": array for name, array in weights.items()}, {"record": {}})
        directory.mark_step_saved()
    run = open_run(directory.path)
    assert isinstance(run, (LanguageRun, SequenceRun))
    return run


def _write_meaning(directory: RunDirectory, model: ImportedModel) -> None:
    """Write the files that give the model's inputs and outputs their meaning."""
    if model.codecs is not None:
        directory.write_codecs(model.codecs)
    if model.vocabulary is not None and model.tokenizer is not None:
        directory.write_vocabulary(model.vocabulary)
        directory.write_tokenizer(model.tokenizer)


def _config(model: ImportedModel, path: str) -> dict[str, Any]:
    """Return the configuration of the run. What only a training has is empty or 0."""
    of_task = {} if model.vocabulary is None else {"training_tokens": 0, "validation_tokens": 0}
    return {
        **of_task,
        **model.read,
        "task": model.task,
        "imported_from": path,
        "architecture": dataclasses.asdict(model.architecture),
        "seqlm": __version__,
        "settings": dataclasses.asdict(model.settings),
        "plugins": model.components.to_json(),
        "texts": {"training": [], "validation": []},
        "init_from": None,
        "extensions": [],
        "versions": {"numpy": np.__version__, "python": platform.python_version()},
        "threads": "1",
        "workers": 1,
        "kernels": "none",
    }
