"""A native library that is missing fails its tests where it could have been built, and skips them elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

import native_libraries
import pytest
from native_libraries import require_library

NAMES = ["generation", "training"]
WITHOUT_LIBRARIES = """
import sys
from pathlib import Path
import pytest

class Missing:
    def pytest_configure(self, config):
        from seqlm_core.native import generation, training

        generation.LIBRARY = training.LIBRARY = Path("/nowhere/libseqlm.so")

sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:randomly", *sys.argv[1:]], plugins=[Missing()]))
"""
FAIL = [
    "test_native_generation.py::test_any_length_can_be_asked_for",
    "test_native_training.py::test_gradients_are_added_up_where_that_is_asked_for",
    "test_native_training.py::test_float64_is_left_to_mxnet",
    "test_operator_calls.py",
    "test_late_failures.py",
]


@pytest.fixture(autouse=True)
def switched_on(monkeypatch):
    monkeypatch.delenv("SEQLM_NATIVE", raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_library_that_could_have_been_built_is_demanded(name, monkeypatch):
    monkeypatch.setattr(native_libraries, "missing_for_build", lambda name: "")
    require_library(name, True)
    with pytest.raises(pytest.fail.Exception, match=rf"^libseqlm_{name}\.\w+ was not built, .*'pip install --verbose "):
        require_library(name, False)
    monkeypatch.setenv("SEQLM_NATIVE", "0")
    with pytest.raises(pytest.skip.Exception, match="switched off"):
        require_library(name, False)


@pytest.mark.parametrize("command", ["false", "/nowhere/g++", "true"])
def test_without_a_compiler_that_works_no_library_is_demanded(command, monkeypatch):
    monkeypatch.setenv("CXX", command)
    for name in NAMES:
        with pytest.raises(pytest.skip.Exception, match="there is no C"):
            require_library(name, False)


def test_without_mxnets_headers_the_operators_are_not_demanded(monkeypatch):
    monkeypatch.setattr(native_libraries, "has_mxnet_headers", lambda: False)
    monkeypatch.setattr(native_libraries, "compiles", lambda command: True)
    with pytest.raises(pytest.skip.Exception, match=r"no lib_api\.h in MXNet's package"):
        require_library("training", False)
    with pytest.raises(pytest.fail.Exception):
        require_library("generation", False)


def test_mxnets_package_brings_the_headers():
    assert native_libraries.has_mxnet_headers()


@pytest.mark.skipif(not native_libraries.compiles(native_libraries.compiler()), reason="no C++ compiler works here")
def test_without_the_libraries_no_test_of_theirs_is_passed_or_skipped():
    here = os.path.dirname(__file__)
    tests = [os.path.join(here, name) for name in FAIL]
    done = subprocess.run([sys.executable, "-c", WITHOUT_LIBRARIES, *tests], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    told = done.stdout.splitlines()[-1]
    assert "error" in told
    assert "passed" not in told
    assert "skipped" not in told
