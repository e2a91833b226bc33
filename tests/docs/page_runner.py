"""Runs the examples of one page of the documentation: ``python page_runner.py PAGE``, in an empty directory.

- A block of Python or TOML whose first line is ``# NAME``, with a file's name, is written to that file.
- Any other block of Python is run. All blocks of a page share one namespace.
- In a block of shell, the lines with ``seqlm`` are run. Options with small sizes are added to trainings, so that they
  take a moment; the last value of an option counts. ``pip install -e FOLDER`` makes the folder's ``pyproject.toml`` a
  distribution on the path.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shlex
import sys
from pathlib import Path

import seqlm_core as seqlm
from seqlm_core.command_line.main import main

SMALL = "--max-steps 2 --hidden-size 8 --batch-size 8 --warmup 0 --quiet"
SIZES = {("train",): f"{SMALL} --sequence-length 10", ("tag", "train"): SMALL}
BLOCK = re.compile(r"^```(python|toml|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w.]+\.(?:py|toml))\n")


def run_page(page: Path) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    sys.path.insert(0, os.getcwd())
    os.environ.pop("SEQLM_PLUGINS", None)
    for found in BLOCK.finditer(page.read_text()):
        kind, source = found.groups()
        named = FILE_NAME.match(source)
        line = page.read_text().count("\n", 0, found.start()) + 1
        print(f"--- {page.name}, line {line}", file=sys.stderr)
        if named:
            Path(named[1]).write_text(source)
            importlib.invalidate_caches()
        elif kind == "python":
            exec(compile("\n" * line + source, page, "exec"), namespace)
        elif kind == "sh":
            for command in source.replace("\\\n", " ").splitlines():
                run_shell_line(command)


def run_shell_line(command: str) -> None:
    installed = re.fullmatch(r"pip install -e (\S+)", command.strip())
    if installed:
        install(Path(installed[1]).resolve())
    elif re.match(r"(\w+=\S* )*seqlm\b", command):
        run_seqlm(shlex.split(command))


def run_seqlm(words: list[str]) -> None:
    """Run a command in this process as if it had a process of its own, and raise an error if it fails."""
    seqlm.installed_plugins.cache_clear()
    before = dict(os.environ)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        os.environ[name] = value
    arguments = words[1:]
    with contextlib.ExitStack() as stack:
        if "<" in arguments:
            at = arguments.index("<")
            sys.stdin = stack.enter_context(open(arguments[at + 1]))
            del arguments[at : at + 2]
        if ">" in arguments:
            at = arguments.index(">")
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(arguments[at + 1], "w"))))
            del arguments[at : at + 2]
        for command, sizes in SIZES.items():
            if tuple(arguments[: len(command)]) == command:
                arguments += ["--quiet"] if "--resume" in arguments else sizes.split()
        try:
            main(arguments)
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"seqlm {shlex.join(arguments)} exits with {end.code}") from None
    os.environ.clear()
    os.environ.update(before)
    seqlm.installed_plugins.cache_clear()


def install(folder: Path) -> None:
    """Make the entry points of a folder known, as an editable installation does."""
    project = (folder / "pyproject.toml").read_text()
    name, version = (re.search(rf'^{key} = "(.+)"$', project, re.MULTILINE)[1] for key in ("name", "version"))
    section = re.search(r"^\[project\.entry-points\.seqlm\]\n((?:.+\n)+)", project, re.MULTILINE)[1]
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[seqlm]\n" + section.replace('"', ""))
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


if __name__ == "__main__":
    run_page(Path(sys.argv[1]))
