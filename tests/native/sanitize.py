"""Runs the tests of the native libraries with the compiler's address and undefined-behaviour sanitizers.

python tests/native/sanitize.py

Needs g++ with its sanitizers, and what the tests need. What a library must not do ends the run with a report.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = PROJECT / "seqlm_core" / "native" / "src"
OPTIONS = ["-std=c++17", "-O1", "-g", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared"]
OPTIONS += ["-pthread", "-Wno-psabi", "-fno-sanitize-recover=all"]
SANITIZERS = "-fsanitize=address,undefined,float-divide-by-zero,float-cast-overflow"
RUN = """
import sys
from pathlib import Path
import pytest

class SanitizedLibraries:
    def pytest_configure(self, config):
        from seqlm_core.native import generation, training

        generation.LIBRARY = Path(sys.argv[1], "libseqlm_generation.so")
        training.LIBRARY = Path(sys.argv[1], "libseqlm_training.so")
        assert generation.generation_library() is not None
        assert len(training.available_backends()) > 1

arguments = ["-q", "-p", "no:cacheprovider", *sys.argv[2:]]
sys.exit(pytest.main(arguments, plugins=[SanitizedLibraries()]))
"""


def build(name: str, folder: Path) -> None:
    """Build a library with the sanitizers, file by file so that all processors work at it."""
    specification = importlib.util.find_spec("mxnet")
    assert specification is not None
    assert specification.origin is not None
    mxnet = Path(specification.origin).parent
    include = [f"-I{mxnet / part}" for part in ("src", "include", "include/mxnet")]
    sources = sorted((SOURCES / name).glob("*.cc"))
    objects = [folder / f"{name}-{source.stem}.o" for source in sources]
    compilers = [
        subprocess.Popen(["g++", *OPTIONS, SANITIZERS, *include, "-c", str(source), "-o", str(made)])
        for source, made in zip(sources, objects)
    ]
    if any(compiler.wait() for compiler in compilers):
        sys.exit(1)
    library = folder / f"libseqlm_{name}.so"
    subprocess.run(["g++", *OPTIONS, SANITIZERS, *map(str, objects), "-o", str(library)], check=True)


def sanitized(folder: Path) -> dict[str, str]:
    """Build both libraries in a folder; return the environment in which Python can load them."""
    for name in ("generation", "training"):
        build(name, folder)
    # The sanitizer has to find the library that throws exceptions, which Python itself does not load.
    runtime = [
        subprocess.run(["g++", f"-print-file-name={name}"], check=True, capture_output=True, text=True).stdout
        for name in ("libasan.so", "libstdc++.so")
    ]
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(path.strip() for path in runtime),
        # Python itself frees little when it ends. What is freed is kept for a while, less than a test can notice.
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", default=[str(PROJECT / "tests" / "native")], help="Default: tests/native.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", RUN, folder, *given.tests]
        return subprocess.run(command, env=sanitized(Path(folder)), cwd=PROJECT).returncode


if __name__ == "__main__":
    sys.exit(main())
