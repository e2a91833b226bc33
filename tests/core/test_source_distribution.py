"""What is in a source distribution: all that the build takes, and no tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def test_it_has_the_sources_of_the_native_libraries_and_no_tests(tmp_path):
    pytest.importorskip("setuptools", minversion="64")  # which the build requires
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    (listed,) = tmp_path.glob("*/SOURCES.txt")
    files = listed.read_text().splitlines()
    native = [path for path in (PROJECT / "seqlm_core" / "native" / "src").rglob("*") if path.is_file()]
    assert len(native) > 20
    assert {path.relative_to(PROJECT).as_posix() for path in native} <= set(files)
    assert "seqlm_core/conformance/cells/layers.py" in files
    assert not [name for name in files if name.startswith("tests/")]
