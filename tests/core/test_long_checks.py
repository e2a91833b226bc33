"""The programs beside the tests that the docs cite run: each in a short form, or as far as it tells how it is used."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PROGRAMS = sorted(
    path
    for folder in ("faults", "benchmarks", "native")
    for path in (TESTS / folder).glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8")
)
INFILL = [
    "TEXT",
    "--runs",
    "NEW",
    "--hidden-size",
    "8",
    "--epochs",
    "1",
    "--lengths",
    "1",
    "--gaps",
    "2",
    "--beam",
    "2",
]
# Short forms, and what they print. RUN is a run, TEXT a text, and NEW a path that is free. kill.py and damage.py are in
# test_reliability.py.
SHORT = {
    "resources.py": (["--steps", "20"], "memory grew by"),
    "quality.py": (["RUN", "--picture", "NEW"], "The picture is"),
    "infill.py": (INFILL, "| lstm, beam of 2, rescored | 1 |"),
}
NEEDS_TORCH = {"generation.py"}  # even to tell how it is used


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_that_the_docs_cite_runs(program, trained, short_text, tmp_path):
    if program.name in NEEDS_TORCH and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    arguments, printed = SHORT.get(program.name, (["--help"], "sage:"))
    found = {"RUN": str(trained(cell="gru").path), "TEXT": str(short_text), "NEW": str(tmp_path / "new")}
    command = [sys.executable, str(program), *(found.get(argument, argument) for argument in arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
