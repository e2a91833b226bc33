"""The documentation: its examples run, it is complete, and its links lead somewhere."""

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
from hook_reference import hook_reference

import seqlm_core as seqlm
from seqlm_core.command_line.main import cli
from seqlm_core.command_line.setting_options import flag_of
from seqlm_core.evaluation.language import LanguageEvaluation
from seqlm_core.evaluation.scores import ChunkScores, Score
from seqlm_core.evaluation.sequences import LabelEvaluation, ValueEvaluation
from seqlm_core.plugins import hookspecs
from seqlm_core.plugins.loading import Plugins, find_entry_points
from seqlm_core.plugins.options import describe_options
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.settings.reading_rules import ReadingRules
from seqlm_core.training.extension import Extension, Training

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
RUNNER = Path(__file__).with_name("page_runner.py")
PAGES = [PROJECT / "README.md", *sorted(DOCS.glob("*.md"))]
REMADE = [DOCS / "tutorial.md"]  # test_remake.py runs the examples of this page, and checks their output too
OF_THE_SITE = [DOCS / "conf.py", *sorted(DOCS.glob("extensions/*.*")), *sorted(DOCS.glob("reference/*.*"))]
PAGES_WITH_EXAMPLES = [
    page for page in PAGES if page not in REMADE and re.search(r"^```(python|sh)$", page.read_text(), re.MULTILINE)
]
TEXTS = [
    "book.txt", "other.txt", "part-1.txt", "part-2.txt", "beyond-good-and-evil.txt", "data/input.txt", "data/README.md",
    "books/one.txt", "books/two/three.txt", "books-to-validate-on/four.txt",
]  # fmt: skip

COLUMN_FILES = ["train.tsv", "validation.tsv", "test.tsv"]
SENTENCES = (
    "Anna\tB-PER\nBerg\tI-PER\nlives\tO\nin\tO\nNew\tB-LOC\nYork\tI-LOC\n.\tO\n",
    "Nobody\tO\nknows\tO\nOlga\tB-PER\n.\tO\n",
)


def commands_of(group: click.Group, before: str = "") -> dict[str, click.Command]:
    """Return all commands by name. The commands of groups have names such as ``tag train``."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        full_name = before + name
        found.update(
            commands_of(command, f"{full_name} ") if isinstance(command, click.Group) else {full_name: command}
        )
    return found


COMMANDS = commands_of(cli)
SETTINGS_OF_COMMANDS = {"train": seqlm.LanguageSettings, "tag train": seqlm.SequenceSettings}


def page(name: str) -> str:
    return (DOCS / name).read_text()


def section(text: str, heading: str) -> str:
    """Return the text below a heading, up to the next heading of the same or a higher level."""
    level = re.match("#+", heading)[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading!r}"
    return found[1]


def section_of_command(name: str) -> str:
    return section(page("command-line.md"), f"#{'#' * len(name.split())} seqlm {name}")


def code_blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, sample_text):
    """A directory that contains only the files that the pages name."""
    for name in TEXTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(sample_text.read_text()[:4000])
    for name in COLUMN_FILES:
        (tmp_path / name).write_text("\n".join(SENTENCES * 10))
    (tmp_path / "new.txt").write_text("Olga\nlives\nin\nLima\n.\n")
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


# For each program, arguments that make it quick, and a pattern that its output must match.
EXAMPLES = {
    "train_and_sample.py": (
        ["book.txt", "--hidden-size", "8", "--epochs", "2", "--length", "20"],
        r"\d\.\d{4}[\s\S]*The ",
    ),
    "own_cell.py": (["book.txt", "--hidden-size", "8", "--epochs", "2"], r"\d\.\d{4}[\s\S]*The "),
    "forecast_mackey_glass.py": (
        ["--steps", "1500", "--horizon", "6", "--epochs", "20", "--hidden-size", "16", "--picture", "forecast.png"],
        r"The RMSE of lstm is 0\.[0-5]\d* times that of persistence",
    ),
    "identify_author.py": (
        ["--stride", "40", "--epochs", "6", "--hidden-size", "16", "--picture", "accuracy.png"],
        r"(?m)^bilstm( +[01]\.\d{3}){3} +(1\.000|0\.[5-9]\d\d)$",
    ),
    "restore_punctuation.py": (
        ["book.txt", "--hidden-size", "8", "--epochs", "2", "--length", "20", "--picture", "f1.png"],
        r"(?m)^lstm, wider +[\d,]+ +\d+\.\d(  +[01]\.\d{4}){5}$",
    ),
}


@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_program_runs(path, folder):
    arguments, pattern = EXAMPLES[path.name]
    printed = run_python(path, *arguments, cwd=folder)
    assert re.search(pattern, printed), printed


def test_the_list_of_plugins_is_what_the_command_prints(tmp_path):
    printed = run_python("-m", "seqlm_core.command_line.main", "plugins", cwd=tmp_path, SEQLM_PLUGINS="")
    assert printed in code_blocks(section(page("command-line.md"), "## seqlm plugins"), "text")


# Completeness


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented(name):
    text = section_of_command(name)
    command = COMMANDS[name]
    with click.Context(command, info_name=name) as context:
        for parameter in command.get_params(context):
            if isinstance(parameter, click.Argument):
                assert parameter.metavar in text
                continue
            for option in parameter.opts:
                assert re.search(rf"^\| [^|]*`{option}\b", text, re.MULTILINE), option


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_documented_that_a_command_does_not_have(name):
    text = section_of_command(name)
    with click.Context(COMMANDS[name], info_name=name) as context:
        options = {option for parameter in COMMANDS[name].get_params(context) for option in parameter.opts}
    documented = set(re.findall(r"^\| (?:`-h`, )?`(--[a-z-]+)", text, re.MULTILINE))
    assert documented <= options


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name, kind in SETTINGS_OF_COMMANDS.items() for field in dataclasses.fields(kind)],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_setting_is_documented_with_its_default(name, field):
    text = section_of_command(name)
    row = re.search(rf"^\| `{flag_of(field.name)}\b[^|]*\| `{field.name}` \| ([^|]*) \|", text, re.MULTILINE)
    assert row, field.name
    if field.default not in (None, dataclasses.MISSING):
        assert row[1] == f"`{field.default}`"


@pytest.mark.parametrize("rule", dataclasses.fields(DecodingRules), ids=lambda rule: rule.name)
def test_every_decoding_rule_is_documented_with_its_default(rule):
    for called, text in [
        (f"`{flag_of(rule.name)} [NX]`", section_of_command("sample")),
        (f"`{rule.name}`", section(page("python-api.md"), "### Decoding rules")),
    ]:
        assert re.search(rf"^\| {called} \| `{rule.default}` \|", text, re.MULTILINE), called


@pytest.mark.parametrize("rule", dataclasses.fields(ReadingRules), ids=lambda rule: rule.name)
def test_every_reading_rule_is_documented_with_its_default(rule):
    shown = "" if rule.default is False else f"`{rule.default}` "
    for name in ("evaluate", "score"):
        row = rf"^\| `{flag_of(rule.name)}( [NX])?` \| {shown}\|"
        assert re.search(row, section_of_command(name), re.MULTILINE), name
    text = section(page("python-api.md"), "### Reading rules")
    assert re.search(rf"^\| `{rule.name}` \| `{rule.default}` \|", text, re.MULTILINE)


@pytest.mark.parametrize(
    "name", ["coming-from-others.md", "coming-from-theano-recurrence.md", "export.md", "large-texts.md", "tagging.md"]
)
def test_pages_name_only_options_that_there_are(name):
    text = re.sub(r"^```text\n.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*(?![\w-])", text))  # those of other programs have underscores
    options = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}
    assert named
    assert named <= options


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_of_other_options_are_documented(name):
    text = section_of_command(name)
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option) and option.show_default:
            assert re.search(rf"^\| `{option.opts[0]} [^|]*\| `{option.default}` \|", text, re.MULTILINE), option.opts


@pytest.mark.parametrize(
    ("heading", "function"),
    [
        ("## Training", "seqlm.train"),
        ("## Training", "seqlm.resume"),
        ("## A run", "Run.sample"),
        ("## A run", "Run.generate"),
        ("## A run", "Run.stream"),
        ("## A run", "Run.stream_each"),
        ("## A run", "Run.infill"),
        ("## A run", "Run.infill_each"),
        ("## A run", "Run.next_tokens"),
        ("## A run", "Run.score"),
        ("## A run", "Run.score_text"),
        ("## A run", "Run.evaluate"),
        ("## A run", "Run.history"),
        ("## A run", "Run.training_samples"),
        ("## A run", "Run.inspect"),
        ("## A run", "Run.inspect_text"),
        ("## Pictures and pages", "seqlm.plot_runs"),
        ("## Pictures and pages", "seqlm.write_report"),
        ("## Pictures and pages", "seqlm.write_inspection"),
        ("## Pictures and pages", "seqlm.write_label_inspection"),
        ("## Models in other programs", "seqlm.export_onnx"),
        ("## Models in other programs", "seqlm.export_pytorch"),
        ("## Models in other programs", "seqlm.import_pytorch"),
        ("## Models in other programs", "seqlm.export_html"),
        ("### Kinds of models", "seqlm.SequenceModel"),
        ("### Training a sequence model", "SequenceModel.train"),
        ("### The run of a sequence model", "SequenceRun.predict"),
        ("### The run of a sequence model", "SequenceRun.probabilities"),
        ("### The run of a sequence model", "SequenceRun.evaluate"),
        ("### The run of a sequence model", "SequenceRun.history"),
        ("### Several models together", "seqlm.SequenceEnsemble"),
        ("### Column files", "seqlm.read_columns"),
        ("## Finding runs", "seqlm.find_runs"),
    ],
)
def test_functions_take_the_documented_parameters(heading, function):
    owner, _, name = function.rpartition(".")
    signature = inspect.signature(getattr(getattr(seqlm, owner, seqlm), name))
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    stated = str(inspect.Signature(parameters)).replace("'", '"')
    called = function if owner == "seqlm" else name
    made = getattr(seqlm, name, None)
    writes = name.startswith(("write_", "plot_", "export_"))
    returns = "`" if inspect.isclass(made) or writes else " -> "
    assert f"`{called}{stated}{returns}" in section(page("python-api.md"), heading)


@pytest.mark.parametrize(
    ("heading", "kind"), [("## A run", seqlm.LanguageRun), ("### The run of a sequence model", seqlm.SequenceRun)]
)
def test_no_member_of_a_run_is_documented_that_it_does_not_have(heading, kind):
    text = section(page("python-api.md"), heading).partition("| Field |")[0]
    documented = re.findall(r"^\| `(\w+)", text, re.MULTILINE)
    assert documented
    for name in documented:
        assert hasattr(kind, name) or name == "config", name  # an attribute of every run


@pytest.mark.parametrize(
    ("called", "kind"),
    [
        ("An evaluation", LanguageEvaluation),
        ("A `LabelEvaluation`", LabelEvaluation),
        ("A `Score`", Score),
        ("A `ChunkScores`", ChunkScores),
        ("A `ValueEvaluation`", ValueEvaluation),
        ("A `seqlm.RunSummary`", seqlm.RunSummary),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_field_of_figures_is_documented(called, kind):
    table = page("python-api.md").partition(f"\n{called} has these fields:\n\n")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    documented = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert documented == [field.name for field in dataclasses.fields(kind)]


def test_the_keys_of_the_json_of_tagging_are_documented():
    cells = re.findall(r"^\| `([a-z_]+)` \|", section_of_command("tag evaluate"), re.MULTILINE)
    assert cells == [field.name for field in dataclasses.fields(LabelEvaluation)]


def test_exit_codes_are_documented():
    text = section(page("command-line.md"), "## Exit codes")
    assert re.findall(r"^\| `(\d+)` \|", text, re.MULTILINE) == ["0", "1", "2", "129", "130", "143"]


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


def test_the_hook_reference_is_what_the_specifications_say():
    assert section(page("plugins.md"), "## Hook reference").endswith("\n" + hook_reference())


def test_no_hook_is_left_out():
    hooks = [name for name, value in vars(hookspecs).items() if hasattr(value, "seqlm_spec")]
    assert re.findall(r"^### (seqlm_\w+)$", page("plugins.md"), re.MULTILINE) == hooks


@pytest.mark.parametrize("name", seqlm.__all__)
def test_every_public_name_is_documented(name):
    assert re.search(rf"`seqlm(_core)?\.{name}\b", page("python-api.md"))


def first_column(table: str) -> list[str]:
    """Return the names in the first column of a table."""
    return [name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)", cell)]


def test_what_an_extension_may_use_is_documented():
    methods, _, rest = section(page("python-api.md"), "### Extensions").partition("| Member of `training` |")
    members, _, rest = rest.partition("Use only these members. The others (")
    internal = re.findall(r"`(\w+)", rest.partition(") are for")[0])
    assert sorted(first_column(methods)) == sorted(
        name for name, value in vars(Extension).items() if inspect.isfunction(value)
    )
    assert sorted(first_column(members) + internal) == sorted(
        name for name in {*Training.__annotations__, *vars(Training)} if not name.startswith("_")
    )


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


@pytest.mark.parametrize(
    "path", [*PAGES, *sorted((DOCS / "examples").glob("*.py")), *OF_THE_SITE], ids=lambda path: path.name
)
def test_nothing_is_named_that_belongs_to_one_machine_or_registry(path):
    found = re.findall(r"(?i)pypi|pythonhosted|conda-forge|/tmp\b|/home/|/root\b|/work\b|/usr/", path.read_text())
    assert not found


@pytest.mark.parametrize("path", [*PAGES, *OF_THE_SITE], ids=lambda path: path.name)
def test_pages_are_plain_text(path):
    assert path.read_text().isascii()
