"""The rooms of the core: what may import what, as ``docs/design.md`` has it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CORE = PROJECT / "seqlm_core"
PUBLIC = "the public API"
MOST_LINES = 300


def rooms():
    """Return the rooms from below, as the table of the design lists them; those of the root by their modules' names."""
    section = (PROJECT / "docs" / "design.md").read_text().partition("## The rooms\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `?([^|`]+?)`? +\|", section, re.MULTILINE)[2:]


def name_of(path):
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in CORE.rglob("*.py")}


def room_of(module):
    """Return the room of a module, which for those at the root is the module itself or the public API."""
    room = module.split(".")[1] if "." in module else PUBLIC
    return PUBLIC if room == "mxnet" else room


def imported(module):
    """Return the modules of the core that a module imports: at its top, within functions, and for types alone."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports by a relative name in {package}"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return {name for name in found if name in MODULES}


def test_the_design_lists_every_room():
    there = {room_of(module) for module in MODULES} - {"data"}
    assert sorted(rooms()) == sorted(there)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_its_own_room_and_those_below(module):
    order = rooms()
    above = {
        name
        for name in imported(module)
        if order.index(room_of(name)) > order.index(room_of(module)) and room_of(name) != room_of(module)
    }
    assert above == set()


def test_no_modules_import_each_other_in_a_circle():
    imports = {module: imported(module) - {module} for module in MODULES}
    left = dict(imports)
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}, "these import each other, or a module that does"


def test_no_module_is_long():
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}


def test_a_circle_and_an_import_of_a_higher_room_are_found(tmp_path, monkeypatch):
    for name, text in {
        "low": "def f():\n    from seqlm_core.high import g\n",
        "high": "import seqlm_core.low\n",
    }.items():
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        monkeypatch.setitem(MODULES, f"seqlm_core.{name}", path)
    assert imported("seqlm_core.low") == {"seqlm_core.high"}
    assert imported("seqlm_core.high") == {"seqlm_core.low"}
    with pytest.raises(AssertionError, match="import each other"):
        test_no_modules_import_each_other_in_a_circle()
