"""Builds the generation library for other platforms, and runs its tests with it, by an emulator where one is needed.

python tests/native/emulate.py [PLATFORM ...]

The platforms, and what they need (the names are those of Debian's packages):

aarch64        64-bit ARM, by GCC: g++-aarch64-linux-gnu and qemu-user
aarch64-clang  the same, by Clang: clang, too
clang          this machine, by Clang: clang
windows        x86-64 Windows, by MinGW: g++-mingw-w64-x86-64 and wine

Without a platform, all are tried for which everything is here. A warning of a compiler is an error.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from foreign_library import PLATFORMS, build

HERE = Path(__file__).resolve().parent
RUN = """
import sys
import pytest

class ForeignLibraries:
    def pytest_configure(self, config):
        from foreign_library import ForeignLibrary
        from seqlm_core.native import generation
        from seqlm_core.native.library import instruction_sets

        here, load = generation.LIBRARY, generation._load
        library = ForeignLibrary(sys.argv[2:])
        print("instruction sets:", *instruction_sets(library), flush=True)
        generation._load = lambda path: library if path == here else load(path)

arguments = ["-q", "-p", "no:cacheprovider", sys.argv[1]]
sys.exit(pytest.main(arguments, plugins=[ForeignLibraries()]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=", ".join(PLATFORMS))
    given = parser.parse_args()
    unknown = [name for name in given.platforms if name not in PLATFORMS]
    if unknown:
        parser.error(f"there is no platform {unknown[0]}, only {', '.join(PLATFORMS)}")
    chosen = given.platforms or [name for name, platform in PLATFORMS.items() if not platform.missing]
    failed = [] if chosen else ["all, since nothing is here that they need"]
    for name in chosen:
        print(f"== {name}", flush=True)
        if PLATFORMS[name].missing:
            print(f"there is no {PLATFORMS[name].missing}")
            failed.append(name)
            continue
        with tempfile.TemporaryDirectory() as folder:
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
                "WINEPREFIX": str(Path(folder, "wine")),
                "WINEDEBUG": "-all",
            }
            try:
                command = build(PLATFORMS[name], Path(folder))
            except subprocess.CalledProcessError as error:
                print(error)
                failed.append(name)
                continue
            tests = [sys.executable, "-c", RUN, str(HERE / "test_native_generation.py"), *command]
            if subprocess.run(tests, env=environment, cwd=folder).returncode:
                failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
