"""Runs the tests of the native library with the compiler's address and undefined-behaviour sanitizers.

python tests/native/sanitize.py

Needs g++ with its sanitizers, and what the tests need. What the library must not do ends the run with a report.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
OPTIONS = ["-std=c++17", "-O1", "-g", "-ffp-contract=fast", "-fPIC", "-shared", "-fno-sanitize-recover=all"]
SANITIZERS = "-fsanitize=address,undefined,float-divide-by-zero,float-cast-overflow"
RUN = """
import sys
from pathlib import Path
import pytest

class SanitizedLibrary:
    def pytest_configure(self, config):
        from seqlm_core.native import generation

        generation.LIBRARY = Path(sys.argv[1])
        assert generation.generation_library() is not None

sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", sys.argv[2]], plugins=[SanitizedLibrary()]))
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "libseqlm_generation.so"
        source = PROJECT / "seqlm_core" / "native" / "src" / "generation" / "generation.cc"
        subprocess.run(["g++", *OPTIONS, SANITIZERS, str(source), "-o", str(library)], check=True)
        runtime = subprocess.run(["g++", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
        environment = {
            **os.environ,
            "LD_PRELOAD": runtime.stdout.strip(),
            "ASAN_OPTIONS": "detect_leaks=0",  # Python itself frees little when it ends
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        tests = str(PROJECT / "tests" / "native")
        return subprocess.run([sys.executable, "-c", RUN, str(library), tests], env=environment, cwd=PROJECT).returncode


if __name__ == "__main__":
    sys.exit(main())
