"""Runs the tests with the oldest and with the newest pair of Python and NumPy that seqlm supports.

For each pair it makes a fresh environment, installs a copy of the project into it as the README says, and runs pytest.

python tests/python_versions.py
python tests/python_versions.py --newest /somewhere/bin/python3.13 -- -n 2 tests/core tests/native

Packages are downloaded by pip. The interpreters python3.9 and python3.13 are looked for on PATH.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "*.so", "build", "_build", "dist", "venv", "models"
)
ABOUT = (
    "import platform, numpy; from seqlm_core.native.training import available_backends; "
    "print('Python', platform.python_version(), '/ NumPy', numpy.__version__, '/ training by', *available_backends())"
)


def oldest_numpy() -> str:
    """Return the requirement of the oldest NumPy that seqlm takes: 1.23 where it requires numpy>=1.23."""
    found = re.search(r'"numpy>=([0-9.]+)"', (PROJECT / "pyproject.toml").read_text())
    assert found is not None
    return f"numpy=={found[1]}.*"


def installations(pair: str, version: tuple[int, ...], of_tests: str) -> list[list[str]]:
    """Return what pip is asked for, call by call.

    Args:
        pair: ``oldest`` or ``newest``.
        version: that of Python.
        of_tests: the requirement of the project with what its tests need.
    """
    if pair == "oldest":
        return [[of_tests, oldest_numpy()]]
    if version < (3, 13):
        return [[of_tests], ["--upgrade", "numpy>=2"]]
    return [["--no-deps", "mxnet==1.9.1"], [of_tests]]


def tested(pair: str, interpreter: str, folder: Path, arguments: list[str]) -> bool:
    """Make the environment of a pair in a folder and run pytest in it; return whether all tests passed."""
    project, environment = folder / "seqlm", folder / "environment"
    shutil.copytree(PROJECT, project, ignore=LEFT_OUT)
    subprocess.run([interpreter, "-m", "venv", str(environment)], check=True)
    programs = environment / "bin"
    version = subprocess.run(
        [str(programs / "python"), "-c", "import sys; print(*sys.version_info[:2])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for requirements in installations(pair, tuple(map(int, version.split())), f"{project}[test]"):
        pip = [str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *requirements], check=True)
    subprocess.run([str(programs / "python"), "-c", ABOUT], cwd=folder, check=True)
    return subprocess.run([str(programs / "pytest"), *arguments], cwd=project).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oldest", metavar="PYTHON", default="python3.9", help="the interpreter of the oldest pair")
    parser.add_argument("--newest", metavar="PYTHON", default="python3.13", help="the interpreter of the newest pair")
    parser.add_argument("--only", choices=["oldest", "newest"], help="one pair alone")
    parser.add_argument("arguments", nargs="*", default=["-n", "auto"], help="for pytest, after -- (default: -n auto)")
    given = parser.parse_args()
    pairs = {name: shutil.which(getattr(given, name)) for name in ("oldest", "newest") if given.only in (None, name)}
    for name, interpreter in pairs.items():
        if interpreter is None:
            parser.error(f"{getattr(given, name)} is not there; name another interpreter with --{name}")
    failed = []
    for name, interpreter in pairs.items():
        with tempfile.TemporaryDirectory(prefix="seqlm-") as folder:
            print(f"== {name}: {interpreter}", flush=True)
            if not tested(name, interpreter, Path(folder), given.arguments):
                failed.append(name)
    sys.exit(f"tests failed with the {' and the '.join(failed)} pair" if failed else 0)


if __name__ == "__main__":
    main()
