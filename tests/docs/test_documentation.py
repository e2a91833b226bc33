"""The documentation: its examples run, it leaves nothing out, and its links lead somewhere."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import seqlm_core as seqlm
from seqlm_core import hookspecs
from seqlm_core.command_line.main import cli
from seqlm_core.command_line.setting_options import flag_of
from seqlm_core.options import describe_options
from seqlm_core.plugins import Plugins, find_entry_points

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
RUNNER = Path(__file__).with_name("page_runner.py")
PAGES = [PROJECT / "README.md", *sorted(DOCS.glob("*.md"))]
PAGES_WITH_EXAMPLES = [page for page in PAGES if re.search(r"^```(python|sh)$", page.read_text(), re.MULTILINE)]
TEXTS = [
    "book.txt", "other.txt", "part-1.txt", "part-2.txt", "beyond-good-and-evil.txt", "data/input.txt", "data/README.md",
]  # fmt: skip


def page(name: str) -> str:
    return (DOCS / name).read_text()


def section(text: str, heading: str) -> str:
    """Return what is below a heading, up to the next one of the same or a higher level."""
    level = re.match("#+", heading)[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading!r}"
    return found[1]


def code_blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, sample_text):
    """An empty directory but for the texts that the pages name."""
    (tmp_path / "data").mkdir()
    for name in TEXTS:
        (tmp_path / name).write_text(sample_text.read_text()[:4000])
    return tmp_path


def run_python(*arguments, cwd, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


# Examples


@pytest.mark.parametrize("path", PAGES_WITH_EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_a_page_run(path, folder):
    run_python(RUNNER, path, cwd=folder)


SIZES = {
    "train_and_sample.py": ["--hidden-size", "8", "--epochs", "2", "--length", "20"],
    "own_cell.py": ["--hidden-size", "8", "--epochs", "2"],
}


@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_program_runs(path, folder):
    printed = run_python(path, "book.txt", *SIZES[path.name], cwd=folder)
    assert "The " in printed
    assert re.search(r"\d\.\d{4}", printed)


def test_the_list_of_plugins_is_what_the_command_prints(tmp_path):
    printed = run_python("-m", "seqlm_core.command_line.main", "plugins", cwd=tmp_path, SEQLM_PLUGINS="")
    assert printed in code_blocks(section(page("command-line.md"), "## seqlm plugins"), "text")


# Completeness


@pytest.mark.parametrize("name", cli.commands)
def test_every_option_of_a_command_is_documented(name):
    text = section(page("command-line.md"), f"## seqlm {name}")
    command = cli.commands[name]
    with click.Context(command, info_name=name) as context:
        for parameter in command.get_params(context):
            if isinstance(parameter, click.Argument):
                assert parameter.metavar in text
                continue
            for option in parameter.opts:
                assert re.search(rf"^\| [^|]*`{option}\b", text, re.MULTILINE), option


@pytest.mark.parametrize("name", list(cli.commands))
def test_no_option_is_documented_that_a_command_does_not_have(name):
    text = section(page("command-line.md"), f"## seqlm {name}")
    with click.Context(cli.commands[name], info_name=name) as context:
        options = {option for parameter in cli.commands[name].get_params(context) for option in parameter.opts}
    documented = set(re.findall(r"^\| (?:`-h`, )?`(--[a-z-]+)", text, re.MULTILINE))
    assert documented <= options


@pytest.mark.parametrize("field", dataclasses.fields(seqlm.Settings), ids=lambda field: field.name)
def test_every_setting_is_documented_with_its_default(field):
    text = section(page("command-line.md"), "## seqlm train")
    row = re.search(rf"^\| `{flag_of(field.name)}\b[^|]*\| `{field.name}` \| ([^|]*) \|", text, re.MULTILINE)
    assert row, field.name
    if field.default not in (None, dataclasses.MISSING):
        assert row[1] == f"`{field.default}`"


@pytest.mark.parametrize("name", ["sample", "evaluate"])
def test_defaults_of_other_options_are_documented(name):
    text = section(page("command-line.md"), f"## seqlm {name}")
    for option in cli.commands[name].params:
        if isinstance(option, click.Option) and option.show_default:
            assert re.search(rf"^\| `{option.opts[0]} [^|]*\| `{option.default}` \|", text, re.MULTILINE), option.opts


def test_sample_takes_the_documented_defaults():
    found = re.search(r"^\| `sample\((.*)\) -> str` \|", page("python-api.md"), re.MULTILINE)
    parameters = list(inspect.signature(seqlm.Run.sample).parameters.values())[1:]
    assert found[1].replace('"', "'") == ", ".join(f"{p.name}={p.default!r}" for p in parameters)


def test_exit_codes_are_documented():
    text = section(page("command-line.md"), "## Exit codes")
    assert re.findall(r"^\| `(\d+)` \|", text, re.MULTILINE) == ["0", "1", "2", "130", "143"]


def built_in_plugins():
    plugins = Plugins()
    plugins.load([found for found in find_entry_points(plugins) if found[1].built_in])
    return [entry.spec for registry in plugins.registries for entry in registry]


@pytest.mark.parametrize("spec", built_in_plugins(), ids=lambda spec: spec.name)
def test_every_plugin_is_documented_with_its_options(spec):
    assert f"`{spec.name}`" in (PROJECT / "README.md").read_text()
    text = section(page("command-line.md"), "### The plugins")
    rows = [line for line in text.splitlines() if re.match(rf"\| {spec.kind}s? .*`{spec.name}`", line)]
    assert rows
    for option in describe_options(spec.options):
        assert any(f"| `{option['name']}` | `{option['default']}` |" in row for row in rows), option


@pytest.mark.parametrize("hook", ["seqlm_cells", "seqlm_tokenizers", "seqlm_optimizers"])
def test_every_hook_is_documented_with_its_signature_and_record(hook):
    function = getattr(hookspecs, hook)
    text = section(page("plugins.md"), f"### {hook}")
    signature = f"{hook}{inspect.signature(function)}".replace("'", "")
    assert f"`{signature}`" in text
    record = getattr(seqlm, signature.split("-> ")[1].split(" |")[0])
    documented = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert documented == [field.name for field in dataclasses.fields(record)]


def test_no_hook_is_left_out():
    hooks = [name for name, value in vars(hookspecs).items() if hasattr(value, "seqlm_spec")]
    assert re.findall(r"^### (seqlm_\w+)$", page("plugins.md"), re.MULTILINE) == hooks


@pytest.mark.parametrize("name", seqlm.__all__)
def test_every_public_name_is_documented(name):
    assert re.search(rf"`seqlm(_core)?\.{name}\b", page("python-api.md"))


def test_exit_codes_of_errors_are_documented():
    text = page("python-api.md")
    for name in seqlm.__all__:
        value = getattr(seqlm, name)
        if inspect.isclass(value) and issubclass(value, seqlm.SeqlmError) and name != "TrainingInterrupted":
            assert re.search(rf"^\| `seqlm\.{name}` \|.*\| {value.exit_code} \|$", text, re.MULTILINE), name


# README and links


def test_the_readme_begins_with_the_two_commands():
    text = (PROJECT / "README.md").read_text()
    commands = [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/seqlm train",
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest -n auto",
    ]
    assert code_blocks(text, "sh")[:2] == [command + "\n" for command in commands]
    assert re.findall(r"^python3 -m venv.*$", text, re.MULTILINE) == commands


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)]+)\)", re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL))
    assert links
    for link in links:
        assert "://" not in link, link
        target, _, anchor = link.partition("#")
        there = path.parent / target if target else path
        assert there.exists(), link
        if anchor:
            assert anchor in anchors(there.read_text()), link


def test_every_page_and_example_can_be_reached_from_the_readme():
    text = (PROJECT / "README.md").read_text()
    for path in [*DOCS.glob("*.md"), *(DOCS / "examples").glob("*.py")]:
        assert f"({path.relative_to(PROJECT)})" in text, path


@pytest.mark.parametrize("path", [*PAGES, *sorted((DOCS / "examples").glob("*.py"))], ids=lambda path: path.name)
def test_nothing_is_named_that_belongs_to_one_machine_or_registry(path):
    found = re.findall(r"(?i)pypi|pythonhosted|conda-forge|/tmp\b|/home/|/root\b|/work\b|/usr/", path.read_text())
    assert not found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_are_plain_text(path):
    assert path.read_text().isascii()
