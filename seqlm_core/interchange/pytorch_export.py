"""Writes the model of a run as a PyTorch state dict, with a module of ``torch.nn`` layers that loads it."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np

from seqlm_core.interchange.description import description_of, formulas_of, opened_run
from seqlm_core.interchange.folders import new_folder
from seqlm_core.interchange.pytorch_language import language_module
from seqlm_core.interchange.pytorch_names import torch_name
from seqlm_core.interchange.pytorch_sequence import sequence_module
from seqlm_core.runs.directory import VECTORS_FILE
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.settings.arguments import PathLike
from seqlm_core.version import __version__

STATE_DICT, DESCRIPTION, MODULE = "model.safetensors", "model.json", "model.py"


def export_pytorch(run: Run[Any] | PathLike, out: PathLike, *, overwrite: bool = False) -> None:
    """Write the model of a run for PyTorch; :func:`import_pytorch` makes a run of it again.

    The folder holds ``model.safetensors``, a state dict whose arrays are those of the run, ``model.py``, a module of
    ``torch.nn`` layers that loads it, and ``model.json``, which says what the weights are: settings, sizes, vocabulary.

    Args:
        run: the run, or its directory.
        out: the folder to write into.
        overwrite: whether a folder that holds files is written into; those of an earlier export are replaced.

    Raises:
        RunError: the directory holds no run, or is damaged.
        UsageError: ``out`` cannot be used, or the cell has no formula that PyTorch has.
        SeqlmError: ``out`` cannot be written to.
    """
    from safetensors.numpy import save_file

    opened = opened_run(run)
    formula, char_formula = formulas_of(opened)
    description = description_of(opened)
    tied = getattr(opened.architecture, "tie_weights", False)
    weights = {torch_name(name, tied): np.ascontiguousarray(array) for name, array in opened.weights.items()}
    settings = opened.settings
    kind = f"A {opened.task} ({settings.cell}, {settings.units} units)."
    if isinstance(opened, SequenceRun):
        module = sequence_module(opened.architecture, formula, char_formula, kind, __version__)
    else:
        module = language_module(opened.architecture, formula, kind, __version__)
    with new_folder(out, overwrite) as folder:
        save_file(weights, str(folder / STATE_DICT))
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        (folder / MODULE).write_text(module, encoding="utf-8")
        if "vectors" in opened.config:
            shutil.copyfile(opened.path / VECTORS_FILE, folder / VECTORS_FILE)
