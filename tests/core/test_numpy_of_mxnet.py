"""MXNet has the NumPy that it was written for, and nobody else has."""

from __future__ import annotations

import ast
import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.engine.numpy_of_mxnet import (
    ALIASES_OF_PYTHON,
    REMOVED_NAMES,
    SPELLING_MODULES,
    NumpyOfMXNet,
    TextOfParameters,
    spelled,
)

MXNET = Path(importlib.util.find_spec("mxnet").origin).parent
A_TRAINING = """
import sys, types
import numpy
before = dict(vars(numpy))
import seqlm_core as seqlm
sys.modules["distutils"] = None
seqlm.train(sys.argv[1], hidden_size=4, max_steps=1, sequence_length=5, batch_size=2, out=sys.argv[2], quiet=True)
import mxnet, another_package
assert another_package.np is sys.modules["numpy"] is numpy
assert mxnet.ndarray.ndarray.np is not numpy
for name, value in vars(numpy).items():
    # Some of its modules are imported when they are first asked for.
    assert isinstance(value, types.ModuleType) or name == "__warningregistry__" or before[name] is value, name
"""


def modules():
    """Return MXNet's modules that are imported, each with its path and syntax tree."""
    files = {
        Path(module.__file__) for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "mxnet" and getattr(module, "__file__", None)
    }  # fmt: skip
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(files)]


def names_asked_for():
    """Return each attribute of NumPy that MXNet's code names, such as linalg.svd, with a place."""
    asked = {}
    for path, tree in modules():
        numpys = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == "numpy"
        }
        for node in ast.walk(tree):
            owner, _, name = ast.unparse(node).partition(".") if isinstance(node, ast.Attribute) else ("", "", "")
            if owner in numpys and name.replace(".", "").isidentifier():
                asked[name] = f"{path.name}:{node.lineno}"
    # These it asks for by text.
    for name in mx.numpy_dispatch_protocol._NUMPY_ARRAY_FUNCTION_LIST:
        asked[name] = "numpy_dispatch_protocol.py"
    return asked


def lacks(owner, name):
    for part in name.split("."):
        if not hasattr(owner, part):
            return True
        owner = getattr(owner, part)
        if not isinstance(owner, (type, type(np))):  # what comes after it is no name of NumPy's
            return False
    return False


@pytest.mark.filterwarnings("ignore")
def test_every_name_of_numpy_that_mxnet_asks_for_is_there():
    asked = names_asked_for()
    assert len(asked) > 200
    assert {"float32", "bool", "PZERO", "linalg.svd", "compat.basestring"} <= asked.keys()
    given = NumpyOfMXNet()
    assert {name: place for name, place in asked.items() if lacks(given, name)} == {}


def test_no_name_is_given_that_mxnet_does_not_ask_for():
    asked = {name.partition(".")[0] for name in names_asked_for()}
    assert [name for name in REMOVED_NAMES if name not in asked] == []


def test_old_names_mean_what_they_meant():
    table = np.array([[3.0, 1.0], [2.0, 4.0]])
    old = {name: REMOVED_NAMES[name] for name in ("product", "alltrue", "sometrue", "round_", "msort", "in1d")}
    assert old["product"](table) == 24
    assert old["alltrue"](table, axis=0).tolist() == [True, True]
    assert old["sometrue"](table - 1, axis=1).tolist() == [True, True]
    assert old["round_"](2.345, 1) == 2.3
    assert old["msort"](table).tolist() == [[2, 1], [3, 4]]
    assert old["in1d"](table, [1, 4]).tolist() == [False, True, False, True]
    assert math.copysign(1, REMOVED_NAMES["NZERO"]) == -1
    assert REMOVED_NAMES["NINF"] == -math.inf
    assert all(map(math.isnan, (REMOVED_NAMES["NaN"], REMOVED_NAMES["NAN"])))
    assert all(value is getattr(__builtins__, name, None) or value is __builtins__[name]
               for name, value in ALIASES_OF_PYTHON.items())  # fmt: skip
    if hasattr(np, "trapezoid"):
        assert REMOVED_NAMES["trapz"]([1, 3, 5]) == 6
    with pytest.raises(NotImplementedError, match=r"NumPy has had no mirr since 1\.20"):
        REMOVED_NAMES["mirr"]()


def test_what_is_changed_in_numpy_later_is_seen_by_mxnet_too(monkeypatch):
    monkeypatch.setattr(np, "something_new", 3, raising=False)
    assert mx.ndarray.ndarray.np.something_new == 3
    assert "something_new" in dir(mx.ndarray.ndarray.np)


def test_numpy_and_other_packages_stay_as_they_are(short_text, tmp_path):
    (tmp_path / "another_package.py").write_text("import numpy as np\n")
    done = subprocess.run(
        [sys.executable, "-c", A_TRAINING, str(short_text), str(tmp_path / "run")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((np.int64(16), 2), "(16, 2)"),
        ((np.int32(16),), "(16,)"),
        ([(np.int64(1), 2), None, "a"], "[(1, 2), None, 'a']"),
        ((np.float32(0.1), 0.5), "(0.1, 0.5)"),
        (np.int64(7), "7"),
        ((), "()"),
        ("float32", "float32"),
        (None, "None"),
    ],
)
def test_numbers_are_written_for_mxnet_as_by_numpy_1(value, text):
    assert spelled(value) == text


def test_shapes_may_be_numbers_of_numpy():
    assert nd.zeros((np.int64(3), 2)).shape == (3, 2)
    variable = mx.sym.var("x", shape=(np.int64(3), 2)).reshape((np.int32(2), 3))
    assert variable.infer_shape()[1] == [(2, 3)]
    square = nd.zeros((5, 5))
    mx.init.Orthogonal(scale=1.0)._init_weight("weight", square)
    np.testing.assert_allclose(nd.dot(square, square.T).asnumpy(), np.eye(5), atol=1e-5)


def test_the_modules_that_spell_call_str_and_ask_what_is_one_and_nothing_else():
    found = {Path(sys.modules[name].__file__): name for name in SPELLING_MODULES}
    trees = [tree for path, tree in modules() if path in found]
    assert len(trees) == 3
    for tree in trees:
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        known = [call.func for call in calls if len(call.args) == 1 and not call.keywords]
        known += [call.args[1] for call in calls if ast.unparse(call.func) == "isinstance"]
        uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "str"]
        assert uses
        assert {id(node) for node in uses} <= {id(node) for node in known}
    assert isinstance("text", TextOfParameters)
    assert not isinstance(b"text", TextOfParameters)
    assert TextOfParameters((np.int64(2),)) == "(2,)"


def test_arrays_of_all_types_go_in_and_out():
    for kind in (np.float64, np.float32, np.float16, np.uint8, np.int8, np.int32, np.int64, np.bool_):
        array = np.array([[0, 1], [1, 0]], dtype=kind)
        found = nd.array(array, dtype=array.dtype).asnumpy()
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
