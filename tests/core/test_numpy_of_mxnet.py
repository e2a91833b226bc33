"""MXNet gets the NumPy that it knows, and nobody else does."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from seqlm_core.engine import mxnet as door
from seqlm_core.engine import numpy_of_mxnet
from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.engine.numpy_of_mxnet import REMOVED_NAMES, NumpyOfMXNet

NUMBERS = {
    "Inf": np.inf, "PINF": np.inf, "NINF": -np.inf, "NaN": np.nan, "NAN": np.nan, "PZERO": 0.0, "NZERO": -0.0,
}  # fmt: skip
ALONE = """
import numpy
before = {name: id(value) for name, value in vars(numpy).items()}
import seqlm_core as seqlm
from seqlm_core.engine.mxnet import mx
mx.nd.array([1.5]).asnumpy()
assert mx.initializer.np is not numpy and mx.initializer.np.bool is bool
import types
import numpy as again
assert again is numpy
changed = {name for name, value in vars(numpy).items() if before.get(name) != id(value)}
assert not {name for name in changed if not isinstance(getattr(numpy, name), types.ModuleType)}, changed
for name in ("bool", "int", "float", "object", "complex", "str"):
    value = getattr(numpy, name, None) if name in vars(numpy) else None
    assert value not in (bool, int, float, object, complex, str), name
"""
WITHOUT = """
import sys

class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "mxnet":
            raise ModuleNotFoundError(f"No module named {name!r}", name="mxnet")

sys.meta_path.insert(0, Missing)
from seqlm_entry import main
main()
"""


def run(program, *arguments, cwd):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_numpy_itself_stays_as_it_is(tmp_path):
    done = run(ALONE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def names_asked_for():
    """Return the places in MXNet's modules that ask for an attribute of NumPy, by name."""
    lists = ("_NUMPY_ARRAY_FUNCTION_LIST", "_NUMPY_ARRAY_UFUNC_LIST")
    asked = {name.split(".")[0]: one for one in lists for name in getattr(mx.numpy_dispatch_protocol, one)}
    folder = Path(mx.__file__).parent
    for path in folder.rglob("*.py"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what MXNet writes
            tree = ast.parse(path.read_text(encoding="utf-8"))
        aliases = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == "numpy"
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
                asked.setdefault(node.attr, f"{path.relative_to(folder)}:{node.lineno}")
    return asked


def test_mxnet_finds_every_name_that_it_asks_for():
    asked = names_asked_for()
    assert {"bool", "float32", "ndarray"} <= asked.keys()
    given = NumpyOfMXNet()
    # Of compat, only MXNet's own genfromtxt asks for something.
    assert {name for name in asked if not hasattr(given, name)} <= {"compat"}


@pytest.mark.parametrize("name", REMOVED_NAMES)
def test_an_old_name_means_what_it_meant(name):
    given = getattr(NumpyOfMXNet(), name)
    if name in vars(np) and name != "bool":
        assert given is getattr(np, name)
    elif given is numpy_of_mxnet._removed:
        with pytest.raises(NotImplementedError):
            given(1, 2)
    elif name in NUMBERS:
        np.testing.assert_equal(given, NUMBERS[name])
        assert np.signbit(given) == np.signbit(NUMBERS[name])
    else:
        assert callable(given)


def test_arrays_of_all_types_go_in_and_out():
    for kind in (np.float64, np.float32, np.float16, np.uint8, np.int8, np.int32, np.int64, bool):
        array = np.array([[0, 1], [1, 0]], dtype=kind)
        found = nd.array(array, dtype=array.dtype).asnumpy()
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("system", "machine", "version", "told"),
    [
        ("linux", "x86_64", (3, 12), "install it with: pip install mxnet==1.9.1"),
        ("linux", "aarch64", (3, 13), "install it with: pip install --no-deps mxnet==1.9.1"),
        ("darwin", "x86_64", (3, 9), "install it with: pip install mxnet==1.9.1"),
        ("darwin", "arm64", (3, 12), "there is none for Darwin on arm64"),
        ("win32", "AMD64", (3, 12), "there is none for Windows on AMD64"),
    ],
)
def test_how_to_install_mxnet_is_said_for_each_platform(system, machine, version, told, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sys, "version_info", version)
    names = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.system", lambda: names[system])
    error = door._loading_error(ModuleNotFoundError("No module named 'mxnet'", name="mxnet"))
    assert str(error).startswith("this needs MXNet, which is not installed; ")
    assert told in str(error)
    assert "\n" not in str(error)


def test_a_training_without_mxnet_is_told_in_one_line(short_text, tmp_path):
    done = run(WITHOUT, "train", short_text, "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("seqlm: error: this needs MXNet, which is not installed; ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
