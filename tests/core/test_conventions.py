"""What holds of the code as a whole."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ["seqlm_core", "seqlm_plugins"]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def modules():
    return [path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")]


def test_every_module_opens_with_a_docstring():
    assert [path for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_mxnet_is_imported_in_one_place():
    importing = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "mxnet" for name in names):
                importing.add(path.relative_to(PROJECT).as_posix())
    assert importing == {"seqlm_core/engine/mxnet.py"}


def test_the_core_speaks_python_and_names_no_option_of_the_command_line():
    naming = []
    for path in modules():
        if "command_line" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.replace("pip install --no-deps", "pip install")
                naming += [f"{path}:{node.lineno}: {option}" for option in OPTION.findall(text)]
    assert naming == []


def test_nothing_unpickles():
    assert [path for path in modules() if "pickle" in path.read_text() or "load_states" in path.read_text()] == []


def test_every_package_is_installed():
    listed = (PROJECT / "pyproject.toml").read_text()
    packages = {path.parent.relative_to(PROJECT).as_posix().replace("/", ".") for path in modules()}
    packages = packages - {"seqlm_core.entry"} | {"seqlm_entry"}  # under a name of its own
    assert [package for package in packages if f'"{package}",' not in listed] == []


def test_the_sample_text_is_plain_english_of_some_size(sample_text):
    text = sample_text.read_text(encoding="ascii")
    assert 50_000 <= len(text) <= 60_000
    paragraphs = text.strip().split("\n\n")
    assert len(paragraphs) == len(set(paragraphs))
    words = {word.strip(".,;:?!'\"-").lower() for word in text.split()}
    assert len(words) >= 2500
