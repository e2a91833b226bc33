"""Models for PyTorch and imported runs of every version are read; see ``make_imports.py`` for what they are."""

from __future__ import annotations

import json
import shutil

import make_imports
import numpy as np
import pytest
from make_imports import IMPORTS

import seqlm_core as seqlm
from seqlm_core.runs.opening import open_run

FOLDERS = sorted(path for path in IMPORTS.iterdir() if path.is_dir())
ALL = [pytest.param(kind, id=f"{folder.name}-{kind.name}") for folder in FOLDERS for kind in sorted(folder.iterdir())]


def keys_in(values, name=""):
    """Return the names of all values within others, and their types."""
    found = {(name, type(values).__name__)}
    if isinstance(values, dict):
        for key, value in values.items():
            found |= keys_in(value, f"{name}.{key}")
    return found


@pytest.mark.parametrize("folder", ALL)
def test_a_model_of_any_version_predicts_what_it_predicted_then(folder, tmp_path):
    expected = json.loads((folder / "expected.json").read_text())
    shutil.copytree(folder / "run", tmp_path / "run")
    for run in (open_run(tmp_path / "run"), seqlm.import_pytorch(folder / "exported", tmp_path / "again")):
        np.testing.assert_allclose(make_imports.expected(run), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", make_imports.KINDS)
def test_the_newest_folder_has_all_that_is_written_now(kind, tmp_path):
    newest = FOLDERS[-1] / kind
    again = seqlm.import_pytorch(newest / "exported", tmp_path / "run")
    seqlm.export_pytorch(again, tmp_path / "exported")
    for name in ("run/config.json", "exported/model.json"):
        now, then = (json.loads((folder / name).read_text()) for folder in (tmp_path, newest))
        assert keys_in(now) == keys_in(then), f"{name}: add a folder by make_imports.py"
    for name in ("run", "exported"):
        files = [{path.name for path in (folder / name).iterdir()} for folder in (tmp_path, newest)]
        assert files[0] == files[1]
