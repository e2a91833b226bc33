"""Runs the tests with other releases of Python and NumPy, each pair in a fresh environment.

python tests/python_versions.py python3.9:1.23 python3.12:2 python3.13: -- -n 2

A pair is an interpreter and the beginning of a release of NumPy; without one, NumPy is the newest that there is. What
comes after -- goes to pytest. Without pairs, the oldest and the newest are tried: python3.9 with NumPy 1.23, and
python3.13 with the newest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PAIRS = ["python3.9:1.23", "python3.13:"]
MXNET = "mxnet==1.9.1"


def run(*command: object) -> None:
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True, cwd=PROJECT)


def install(interpreter: str, numpy: str, folder: Path) -> None:
    """Install seqlm as the README says, and then the release of NumPy that is wanted."""
    run(interpreter, "-m", "venv", folder)
    python = folder / "bin" / "python"
    version = subprocess.check_output([python, "-c", "import sys; print(sys.version_info >= (3, 13))"], text=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if version.strip() == "True":
        run(*pip, "--no-deps", MXNET)
    run(*pip, ".[test]")
    if numpy:
        run(*pip, f"numpy=={numpy}.*")
    run(python, "-c", "import numpy, sys; print('Python', sys.version.split()[0], 'with NumPy', numpy.__version__)")


def main() -> None:
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    pairs, of_pytest = arguments[:cut] or PAIRS, arguments[cut + 1 :]
    if not all(":" in pair for pair in pairs):
        raise SystemExit(__doc__)
    failed = []
    for pair in pairs:
        interpreter, _, numpy = pair.rpartition(":")
        with tempfile.TemporaryDirectory() as folder:
            try:
                install(interpreter, numpy, Path(folder))
                run(Path(folder) / "bin" / "pytest", "-q", *of_pytest)
            except (subprocess.CalledProcessError, OSError) as error:
                print(error, flush=True)
                failed.append(pair)
    print("failed: " + ", ".join(failed) if failed else "all passed")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
