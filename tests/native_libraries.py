"""Whether the native libraries could have been built here: where their build went wrong, their tests fail."""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

SOURCE = "#include <vector>\nint size() { return [](auto... all) { return (all + ...); }(1, 2); }\n"


def require_library(name: str, is_usable: bool) -> None:
    """Skip a test of a native library where the library cannot be there, and fail it where it should be.

    Args:
        name: ``generation`` or ``training``.
        is_usable: whether the package found the library and uses it.
    """
    if is_usable:
        return
    if os.environ.get("SEQLM_NATIVE") == "0":
        pytest.skip("the native libraries are switched off")
    missing = missing_for_build(name)
    if missing:
        pytest.skip(f"the native library cannot be built here: there is no {missing}")
    from seqlm_core.native.library import library_path

    pytest.fail(
        f"{library_path(name).name} was not built, or cannot be used, and yet there is all that its build takes; "
        "'pip install --verbose --no-deps -e .' shows what went wrong (SEQLM_NATIVE=0 tests without the library)",
        pytrace=False,
    )


def missing_for_build(name: str) -> str:
    """Return what the build of a library takes and is not here; nothing where all is."""
    if name == "training" and not has_mxnet_headers():
        return "lib_api.h in MXNet's package"
    return "" if compiles(compiler()) else "C++ compiler that works"


def has_mxnet_headers() -> bool:
    found = importlib.util.find_spec("mxnet")
    return found is not None and found.origin is not None and any(Path(found.origin).parent.rglob("lib_api.h"))


def compiler() -> str:
    """Return the command that setuptools takes for C++."""
    return os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++"


@functools.cache
def compiles(command: str) -> bool:
    """Whether a compiler makes a shared library of a little C++17."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "tiny.cc")
        source.write_text(SOURCE)
        arguments = [*shlex.split(command), "-std=c++17", "-shared", "-fPIC", str(source), "-o", f"{folder}/tiny.so"]
        try:
            done = subprocess.run(arguments, capture_output=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0 and Path(folder, "tiny.so").exists()
