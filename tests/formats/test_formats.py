"""The runs of every version of the format are loaded, used and gone on with; see ``make.py`` for what they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
from pathlib import Path

import make
import numpy as np
import pytest
from make import COMPRESSED, KINDS, RUNS, compressed_in, kinds_in
from safetensors.numpy import load_file

import seqlm_core as seqlm
from seqlm_core.native.training import MXNET, available_backends
from seqlm_core.runs.opening import open_run

FOLDERS = sorted(path for path in RUNS.iterdir() if path.is_dir())
ALL = [pytest.param(folder / kind, id=f"{folder.name}-{kind}") for folder in FOLDERS for kind in kinds_in(folder)]
ALL_COMPRESSED = [pytest.param(f / kind, id=f"{f.name}-{kind}") for f in FOLDERS for kind in compressed_in(f)]
TOLERANCE = 1e-5
"""Of figures and, where another backend or processor computes, of weights; relative to the largest of them."""


@pytest.fixture(autouse=True)
def plugin():
    """Have the tokenizer of some of the runs, and forget it afterwards."""
    seqlm.installed_plugins.cache_clear()
    seqlm.load_plugin(make.PLUGIN)
    yield
    seqlm.installed_plugins.cache_clear()


@pytest.fixture
def copied(tmp_path):
    """Give the function that copies a run, since loading one may change its directory."""

    def copy(folder):
        shutil.copytree(folder / "run", tmp_path / "run")
        return tmp_path / "run"

    return copy


def agree(found, expected):
    """Compare what a run made with what it made once, as far as that is known; numbers may differ by rounding."""
    if isinstance(expected, dict):
        assert set(expected) <= set(found)
        for key, value in expected.items():
            agree(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            agree(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)
    else:
        assert found == expected


def computes_to_the_bit(folder, expected):
    """Whether what a run goes on with here computes the same bits as what it was begun with."""
    config = json.loads((folder / "run" / "config.json").read_text())
    here = make.has_a_say_in_bits()
    if config["kernels"] == MXNET:
        same_threads = config["threads"] == os.environ["OMP_NUM_THREADS"]
        return same_threads and here["processor"] == expected["bits"]["processor"]
    return config["kernels"] in available_backends() and here == expected["bits"]


def expectations(folder):
    return json.loads((folder / "expected.json").read_text())


@pytest.mark.parametrize("folder", ALL)
def test_a_run_of_any_version_makes_what_it_made_then(folder, copied):
    agree(make.use(folder.name, open_run(copied(folder))), expectations(folder)["interrupted"])


@pytest.mark.parametrize("folder", ALL)
def test_a_run_of_any_version_goes_on_to_the_end_that_it_had_then(folder, copied):
    expected = expectations(folder)
    run = seqlm.resume(copied(folder), quiet=True)
    found, weights = make.final_weights(run.path), load_file(folder / "finished.safetensors")
    assert set(found) == set(weights)
    for name, array in weights.items():
        if computes_to_the_bit(folder, expected):
            np.testing.assert_array_equal(found[name], array, err_msg=name)
        else:
            atol = TOLERANCE * float(np.abs(array).max())
            np.testing.assert_allclose(found[name], array, rtol=0, atol=atol, err_msg=name)
    agree({**make.use(folder.name, open_run(run.path)), "history": make.figures(run)}, expected["finished"])


@pytest.mark.parametrize("folder", ALL_COMPRESSED)
def test_a_compressed_run_of_any_version_makes_what_it_made_then(folder, copied):
    agree(make.use(folder.name, open_run(copied(folder))), expectations(folder)["compressed"])


@pytest.mark.parametrize("backend", [MXNET, "native portable", "native avx2"])
@pytest.mark.parametrize("kind", ["characters", "tagger"])
def test_a_run_goes_on_within_rounding_where_another_backend_computes(kind, backend, copied, monkeypatch):
    """What the tolerance is for, tried with the backends that are here."""
    if backend not in available_backends():
        pytest.skip("this backend is not here")
    folder = FOLDERS[-1] / kind
    usable = list(dict.fromkeys([MXNET, backend]))
    monkeypatch.setattr("seqlm_core.native.training.available_backends", lambda precision="float32": usable)
    run = seqlm.resume(copied(folder), quiet=True)
    found = make.final_weights(run.path)
    for name, array in load_file(folder / "finished.safetensors").items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=TOLERANCE * float(np.abs(array).max()))
    agree(make.figures(run), expectations(folder)["finished"]["history"])


def test_there_are_runs_of_each_kind_of_every_version_which_tell_nothing_of_a_machine():
    for folder in FOLDERS:
        kinds = [*kinds_in(folder), *compressed_in(folder)]
        assert {path.name for path in folder.iterdir()} == set(kinds)
        for kind in kinds:
            config = (folder / kind / "run" / "config.json").read_text()
            paths = set(re.findall(r'"(?:file:)?(/[^"]*)"', config))
            paths = {path for path in paths if make.WHOLE_WHEN_MADE not in (Path(path), *Path(path).parents)}
            assert paths <= {str(make.PLUGIN_WHEN_MADE), str(make.VECTORS_WHEN_MADE)}


def structure(value, key=""):
    """Return the keys and types of a value; of a format, what it is."""
    if isinstance(value, dict):
        return {name: structure(member, name) for name, member in value.items() if name != "digest"}
    if isinstance(value, list):
        return sorted({json.dumps(structure(member)) for member in value})
    return value if key == "format" else type(value).__name__


def written(path):
    """Return the structure of a file of a run."""
    if path.suffix == ".json":
        return structure(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return structure([json.loads(line) for line in path.read_text().splitlines()])
    if path.suffix == ".safetensors":
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        metadata = header.pop("__metadata__")
        metadata["state"] = json.loads(metadata["state"])
        return {"arrays": {name: array["dtype"] for name, array in header.items()}, **structure(metadata)}
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_the_present_version_writes_runs_as_the_newest_ones_are(kind, tmp_path, monkeypatch):
    """Who changes the format of a run adds runs of it: see ``make.py``."""
    seqlm.installed_plugins.cache_clear()  # the plugin comes from another place
    monkeypatch.setattr(make, "PLUGIN_WHEN_MADE", tmp_path / "plugin" / make.PLUGIN.name)
    monkeypatch.setattr(make, "VECTORS_WHEN_MADE", tmp_path / "plugin" / "vectors.txt")
    make.train_interrupted(kind, tmp_path / "run")
    are_alike(tmp_path / "run", FOLDERS[-1] / kind / "run")


@pytest.mark.parametrize("kind", COMPRESSED)
def test_the_present_version_writes_compressed_runs_as_the_newest_ones_are(kind, tmp_path):
    make.compress(kind, tmp_path / "run", tmp_path / "whole")
    are_alike(tmp_path / "run", FOLDERS[-1] / kind / "run")


def are_alike(run, newest):
    assert {path.name for path in run.iterdir()} == {path.name for path in newest.iterdir()}
    for path in newest.iterdir():
        assert written(run / path.name) == written(path), path.name
