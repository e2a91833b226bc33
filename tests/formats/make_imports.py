"""Writes models for PyTorch and the runs that are imported from them, for the tests that read those of every version.

python tests/formats/make_imports.py NAME

Whoever changes what an export for PyTorch or an imported run holds adds a folder tests/formats/imports/NAME; NAME is a
number that puts the folder last, and what the change brought. The older folders stay as they are, for ever. Each kind
of model has a folder with ``exported``, ``run``, which was imported from it, and ``expected.json``, what the run made
of some inputs.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from make import PLUGIN_WHEN_MADE

import seqlm_core as seqlm
from seqlm_core.runs.opening import open_run

HERE = Path(__file__).resolve().parent
IMPORTS = HERE / "imports"
KINDS = ["characters", "words", "two-directions", "rare-words", "tagger", "columns", "forecaster"]
"""The runs of tests/formats/runs that are exported and imported."""
PROMPT = "The "
SENTENCE = ["The", "door", "was", "open", "."]


def expected(run: Any) -> Any:
    """Return what a run makes of some inputs, as JSON has it."""
    if isinstance(run, seqlm.LanguageRun):
        return [token.log_probability for token in sorted(run.next_tokens(PROMPT), key=lambda token: token.token)]
    if run.architecture.outputs == "values":
        made = run.predict([[0.1, 0.5, 0.9, 0.2]])
    else:
        columns = run.architecture.columns
        further = len(columns) - run.settings.shapes
        made = run.probabilities([[(word, *["NN"] * further) if further else word for word in SENTENCE]])
    return made[0].tolist()


def make(name: str) -> None:
    """Write the folder of one version."""
    newest = sorted((HERE / "runs").iterdir())[-1]
    for kind in KINDS:
        folder = IMPORTS / name / kind
        shutil.rmtree(folder, ignore_errors=True)
        seqlm.export_pytorch(newest / kind / "run", folder / "exported")
        copied = PLUGIN_WHEN_MADE.with_name("exported")  # a run records where it came from
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(folder / "exported", copied)
        seqlm.import_pytorch(copied, folder / "run")
        made = expected(open_run(folder / "run"))
        (folder / "expected.json").write_text(json.dumps(made) + "\n")


if __name__ == "__main__":
    make(sys.argv[1])
