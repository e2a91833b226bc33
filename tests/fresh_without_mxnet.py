"""Installs seqlm without MXNet into a fresh environment, and uses runs there that were trained elsewhere.

python tests/fresh_without_mxnet.py

The runs are those of tests/formats, and the commands those of tests/all_commands.py. What they make has to be the same,
to 1e-5, as what this environment makes of them with MXNet, in which the program is started. The environment is made by
the Python that is named with --python, without which it is that of this program; its packages come from the package
index that pip is set up for.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

TESTS = Path(__file__).resolve().parent
PROJECT = TESTS.parent
EXTRAS = ("pages", "play")
TOLERANCE = 1e-5
SENTENCES = ["the bridge was built,", "salt", "she went to the house of the singer"]


def prepare(folder: Path) -> None:
    """Copy the runs, and write what they read."""
    text = (TESTS / "formats" / "text.txt").read_text()
    (folder / "text.txt").write_text(text[3200:3600])
    labels = itertools.cycle(["vowel", "B-X", "O", "consonant"])  # of both taggers
    words = [[f"{word}\t{len(word)}\t{next(labels)}\n" for word in sentence.split()] for sentence in SENTENCES]
    (folder / "columns.tsv").write_text("\n".join(map("".join, words)))
    values = [[[[0.1 * step], [0.1 * step - 0.2]] for step in range(length)] for length in (1, 7, 12)]
    read = [([value for value, _ in series], [value for _, value in series]) for series in values]
    for version in sorted((TESTS / "formats" / "runs").iterdir()):
        for kind in sorted(version.iterdir()):
            if kind.name == "letter-pairs":  # it needs a plugin, which no command here names
                continue
            name = f"{version.name} {kind.name}"
            shutil.copytree(kind / "run", folder / "runs" / name)
            if kind.name == "forecaster":
                (folder / f"{name}.json").write_text(json.dumps(read))


def install(python: str, folder: Path) -> Path:
    """Return the Python of a fresh environment with seqlm, and all that it needs but MXNet."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    fresh = next(path for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if path.exists())
    described = _pyproject()["project"]
    needed = [
        *described["dependencies"],
        *(one for extra in EXTRAS for one in described["optional-dependencies"][extra]),
    ]
    needed = [one for one in needed if not re.match(r"(mxnet|seqlm)\b", one)]
    pip = [str(fresh), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "setuptools>=64", "wheel", *needed], check=True)
    source = folder / "source"
    shutil.copytree(
        PROJECT,
        source,
        ignore=shutil.ignore_patterns(".*", "*.so", "build", "*.egg-info", "__pycache__", "tests"),
    )
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", str(source)], check=True)
    shutil.rmtree(source)
    return fresh


def _pyproject() -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # before Python 3.11
        import tomli as tomllib  # type: ignore[no-redef]
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def walked(python: str, folder: Path, *how: str) -> dict[str, Any]:
    """Return what an environment makes of the runs; for ``how`` see ``all_commands.py``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, str(TESTS / "all_commands.py"), str(folder), *how],
        cwd=folder, env=environment, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def play(python: Path, run: Path, folder: Path) -> str:
    """Return the page that ``seqlm play`` serves."""
    command = [str(python.with_name(f"seqlm{python.suffix}")), "play", str(run), "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = (process.stdout.readline() if process.stdout else "").split()[0]
            with urllib.request.urlopen(address, timeout=60) as page:
                return str(page.read().decode())
        finally:
            process.terminate()


def differences(found: Any, expected: Any, where: str) -> list[str]:
    """Return where two results differ by more than rounding."""
    if isinstance(expected, dict) and isinstance(found, dict) and list(found) == list(expected):
        return [text for key in expected for text in differences(found[key], expected[key], f"{where} / {key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        return [text for pair in zip(found, expected) for text in differences(*pair, where)]
    if isinstance(expected, float) and isinstance(found, float):
        near = abs(found - expected) <= TOLERANCE * max(1.0, abs(expected))
        return [] if near else [f"{where}: {found} and not {expected}"]
    return [] if found == expected else [f"{where}: {found!r} and not {expected!r}"]


def parsed(made: Any) -> Any:
    """Return what a command made, with its JSON as values."""
    if isinstance(made, list) and len(made) == 3 and made[1].startswith(("{", "[")):
        try:
            return [made[0], json.loads(made[1]), made[2]]
        except ValueError:
            return [made[0], [json.loads(line) for line in made[1].splitlines()], made[2]]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the Python of the fresh environment")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seqlm-") as name:
        folder = Path(name)
        prepare(folder)
        fresh = install(given.python, folder / "environment")
        missing = subprocess.run([fresh, "-c", "import mxnet"], cwd=folder, capture_output=True, text=True, check=False)
        if "No module named 'mxnet'" not in missing.stderr:
            sys.exit(f"MXNet is not missing: {missing.stderr}")
        here, there = walked(sys.executable, folder, "graphs"), walked(str(fresh), folder)
        page = play(fresh, folder / "runs" / "4-regularization lines", folder)
    failed = [f"{words} fails: {made[2]}" for words, made in there.items() if isinstance(made, list) and made[0] != 0]
    wrong = failed + differences(
        {words: parsed(made) for words, made in there.items()},
        {words: parsed(made) for words, made in here.items()},
        "without MXNet",
    )
    if "<title>Play with" not in page:
        wrong.append(f"seqlm play serves {page[:200]!r}")
    print("\n".join(wrong) or f"{len(there)} commands and predictions come to the same without MXNet")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
