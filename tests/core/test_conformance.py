"""The conformance kit: each check can fail, right plugins pass all of them, and what is told helps."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import sys
from pathlib import Path

import pytest
from right_plugins import RIGHT, Characters, Unit
from wrong_plugins import WRONG

import seqlm_core as seqlm
from seqlm_core.conformance import cells, tokenizers, training
from seqlm_core.conformance.check import Check, CheckFailure, Outcome, describe, run_checks
from seqlm_core.conformance.kinds import check_plugin, checks_of, parse_plugin
from seqlm_core.plugins import foreign
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.options import make_options
from seqlm_core.plugins.registry import THIS_PROGRAM
from seqlm_core.plugins.specs import PLUGIN_KINDS

PROJECT = Path(__file__).resolve().parents[2]
ALL_CHECKS = [check for kind in PLUGIN_KINDS for check in checks_of(kind)]
BUILT_IN = [
    pytest.param(registry.kind, entry.spec.name, id=entry.spec.name)
    for registry in installed_plugins().registries
    for entry in registry
    if entry.source.built_in
]
WRONG_IN_PROCESSES = """
import seqlm_core as seqlm
from seqlm_core.plugins import foreign

class Tokenizer:
    def __init__(self):
        self.endings = {"on", "e", "ed", "es", "ing", "in", "g", "s"}  # looked through in the order of their hashes

    def tokenize(self, text):
        tokens = []
        for line in text.splitlines(keepends=True):
            ending = next((ending for ending in self.endings if line.rstrip().endswith(ending)), "")
            tokens += [line[: len(line.rstrip()) - len(ending)], line[len(line.rstrip()) - len(ending) :]]
        return [token for token in tokens if token]

    def detokenize(self, tokens):
        return "".join(tokens)

    def last_cut(self, text):
        return text.rfind("\\n") + 1

@seqlm.hookimpl
def seqlm_tokenizers():
    return seqlm.TokenizerSpec("endings", "wrong", lambda options: Tokenizer())
"""


def the_check(function):
    return next(check for check in ALL_CHECKS if check.run is function)


def outcome_of(check, spec, **options):
    (outcome,) = run_checks([check], Component(spec, make_options(spec, options), THIS_PROGRAM))
    return outcome


# Each check can fail


def test_there_is_a_wrong_plugin_for_every_check():
    proven = {wrong.check for wrong in WRONG} | {tokenizers.processes_agree}  # whose plugin has to be installed
    assert [check.demand for check in ALL_CHECKS if check.run not in proven] == []


@pytest.mark.parametrize("wrong", [pytest.param(wrong, id=wrong.spec.name) for wrong in WRONG])
def test_a_wrong_plugin_is_found_and_told_of(register_specs, wrong):
    register_specs(wrong.spec)
    check = the_check(wrong.check)
    outcome = outcome_of(check, wrong.spec)
    assert not outcome.passed
    assert re.search(wrong.said, outcome.detail), outcome.detail
    assert outcome == Outcome(check.demand, False, outcome.detail, check.look_at)
    assert len(outcome.detail.splitlines()) == 1


@pytest.mark.parametrize(("source", "passed"), [(WRONG_IN_PROCESSES, False), ("", True)], ids=["set", "tuple"])
def test_tokens_that_differ_from_process_to_process_are_found(tmp_path, monkeypatch, register_specs, source, passed):
    source = source or re.sub(r"\{(\"on\".*)\}", r"(\1)", WRONG_IN_PROCESSES)
    install(tmp_path, monkeypatch, "endings", source)
    component = Component.choose(installed_plugins().tokenizers, "endings", {})
    (outcome,) = run_checks([the_check(tokenizers.processes_agree)], component)
    assert outcome.passed == passed, outcome
    assert passed or outcome.detail == "three processes cut the same texts in different ways"


def test_a_tokenizer_that_fails_in_another_process_is_told_of(tmp_path, monkeypatch, register_specs):
    source = WRONG_IN_PROCESSES + "\nimport sys\nassert 'pytest' in sys.modules, 'works in tests only'\n"
    install(tmp_path, monkeypatch, "endings", source)
    component = Component.choose(installed_plugins().tokenizers, "endings", {})
    (outcome,) = run_checks([the_check(tokenizers.processes_agree)], component)
    assert not outcome.passed
    assert outcome.detail.startswith("in a process of its own it fails: ")


def test_a_tokenizer_that_is_not_installed_is_not_tried_in_other_processes():
    spec = seqlm.TokenizerSpec("characters", "right", lambda options: Characters())
    outcome = outcome_of(the_check(tokenizers.processes_agree), spec)
    assert (outcome.passed, outcome.detail) == (True, "not tried, since the plugin is not installed")


def install(folder, monkeypatch, name, source):
    """Install a plugin of one module, as ``pip`` would."""
    module = f"fake_{name}_{folder.name}"
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (folder / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[seqlm]\nplug = {module}\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("SEQLM_PLUGINS", name)
    monkeypatch.delitem(sys.modules, module, raising=False)
    installed_plugins.cache_clear()


# Right plugins pass


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_a_built_in_passes_every_check(kind, name):
    assert [str(outcome) for outcome in check_plugin(kind, name) if not outcome.passed] == []


@pytest.mark.parametrize("spec", [pytest.param(spec, id=spec.name) for spec in RIGHT])
def test_a_right_plugin_passes_every_check(register_specs, spec):
    register_specs(spec)
    outcomes = list(check_plugin(spec.kind, spec.name))
    assert [str(outcome) for outcome in outcomes if not outcome.passed] == []
    assert [outcome.demand for outcome in outcomes] == [check.demand for check in checks_of(spec.kind)]


def plugins_in_the_documentation():
    text = (PROJECT / "docs" / "plugins.md").read_text()
    return re.findall(r"```python\n(# (seqlm_\w+)\.py\n.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    ("source", "module"), [pytest.param(*found, id=found[1]) for found in plugins_in_the_documentation()]
)
def test_the_plugins_in_the_documentation_pass_every_check(register_specs, tmp_path, monkeypatch, source, module):
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    installed_plugins().register(importlib.import_module(module))
    (registered,) = (
        entry.spec
        for registry in installed_plugins().registries
        for entry in registry
        if entry.spec.build.__module__ == module
    )
    outcomes = list(check_plugin(registered.kind, registered.name))
    assert [str(outcome) for outcome in outcomes if not outcome.passed] == []


def test_the_documentation_has_a_cell_a_tokenizer_and_an_optimizer():
    assert {module for _, module in plugins_in_the_documentation()} >= {"seqlm_mgu", "seqlm_runs", "seqlm_signum"}


def test_a_cell_that_only_runs_in_float32_is_told_so():
    spec = next(spec for spec in RIGHT if spec.name == "onlyfloat32")
    outcome = outcome_of(the_check(cells.computation.gradients_are_right), spec)
    assert re.fullmatch(r"largest relative error \S+, in float32, as it does not run in float64", outcome.detail)


def test_the_small_text_has_many_different_lines():
    assert len(set(training.TEXT.splitlines())) == 60


# How checks are run


def passes(component):
    return "measured"


def fails(component):
    raise CheckFailure("is 3 instead of 2")


def checks_that(*functions):
    return [Check(f"does {number}", f"part {number}", function) for number, function in enumerate(functions)]


def test_if_the_first_check_fails_the_others_are_not_tried():
    assert [str(outcome) for outcome in run_checks(checks_that(fails, passes), None)] == [
        "  FAILED  does 0\n            is 3 instead of 2\n            look at: part 0"
    ]


def test_if_another_check_fails_the_rest_is_tried():
    assert [str(outcome) for outcome in run_checks(checks_that(passes, fails, passes), None)] == [
        "  ok      does 0 (measured)",
        "  FAILED  does 1\n            is 3 instead of 2\n            look at: part 1",
        "  ok      does 2 (measured)",
    ]


def test_checks_are_run_one_by_one_as_they_are_asked_for():
    run = []
    outcomes = run_checks(checks_that(*[lambda component: run.append(1) or ""] * 3), None)
    next(outcomes)
    assert run == [1]


def test_lines_are_ascii_whatever_a_plugin_says():
    outcome = Outcome("does it", False, "'\u00e9\U0001f469' \u2192 '\u2028'", "here")
    assert "'\\xe9\\U0001f469' \\u2192 '\\u2028'" in str(outcome)
    assert str(outcome).isascii()


def test_every_demand_and_hint_is_a_line_of_ascii_and_no_demand_occurs_twice():
    for check in ALL_CHECKS:
        assert check.demand.isascii()
        assert check.look_at.isascii()
        assert "\n" not in check.demand + check.look_at
    for kind in PLUGIN_KINDS:
        demands = [check.demand for check in checks_of(kind)]
        assert len(demands) == len(set(demands))


# Errors in a plugin


def test_an_error_is_told_by_type_message_file_and_line_of_the_plugin(tmp_path):
    file = tmp_path / "site-packages" / "my_plugin.py"  # where pip puts it
    code = compile("import json\n\ndef run(component):\n    json.dumps({(1, 2): 3})\n", str(file), "exec")
    names = {}
    exec(code, names)
    (outcome,) = run_checks(checks_that(names["run"]), None)
    assert outcome.detail == ("TypeError: keys must be str, int, float, bool or None, not tuple (my_plugin.py, line 4)")


def test_an_error_that_only_libraries_are_in_has_no_line():
    with pytest.raises(ValueError, match="double quotes") as caught:
        json.loads("{")
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert describe(error) == f"JSONDecodeError: {error}"


def test_the_cause_of_an_error_is_where_the_line_comes_from():
    def plugin():
        raise KeyError("no such unit")

    line = plugin.__code__.co_firstlineno + 1
    with pytest.raises(KeyError) as caught:
        plugin()
    error = seqlm.PluginError("cell 'bad' cannot be built")
    error.__cause__ = caught.value
    assert describe(error) == f"PluginError: cell 'bad' cannot be built (test_conformance.py, line {line})"


def test_of_an_error_of_mxnet_the_message_is_told_and_not_its_trace():
    text = (
        'Traceback (most recent call last):\n  File "../src/operator.cc", line 1\n\nMXNetError: Check failed: a == b\n'
    )
    assert describe(RuntimeError(text)) == "RuntimeError: MXNetError: Check failed: a == b"
    assert describe(RuntimeError("")) == "RuntimeError: "


def test_the_core_is_no_plugin_but_the_built_ins_are():
    assert not foreign._is_foreign(Path(foreign.__file__))
    assert not foreign._is_foreign(Path(re.__file__))
    assert foreign._is_foreign(PROJECT / "seqlm_plugins" / "cells" / "lstm.py")


# Texts that a tokenizer fails at


@pytest.mark.parametrize(
    ("has_problem", "shortest"),
    [
        (lambda text: "ab" in text, "ab"),
        (lambda text: text.count("x") > 2, "xxx"),
        (lambda text: "a" in text and "c" in text, "ac"),
        (lambda text: len(text) % 2 == 1 or "b" in text, "b"),
        (lambda text: True, ""),
    ],
)
def test_a_text_that_fails_is_shortened_until_no_character_can_be_left_out(has_problem, shortest):
    text = "xx ab--xx\u00e9 cab"
    assert has_problem(text)
    short = tokenizers._shortened(text, lambda text: "problem" if has_problem(text) else "")
    assert len(short) == len(shortest)
    assert has_problem(short)
    assert all(not has_problem(short[:i] + short[i + 1 :]) for i in range(len(short)))


def test_a_problem_that_does_not_come_back_is_told_all_the_same():
    answers = iter(["no problem once"])
    with pytest.raises(CheckFailure, match=r"^no problem once$"):
        tokenizers._over_texts(lambda text: next(answers, ""))


def test_the_texts_are_always_the_same_ones_and_of_all_kinds():
    first, second = list(tokenizers._texts()), list(tokenizers._texts())
    assert first == second
    assert len(set(first)) > 250
    everything = "".join(first)
    for alphabet in tokenizers.ALPHABETS:
        assert set(alphabet) <= set(everything)


# Which plugin is checked


def test_options_are_passed_on(register_specs):
    seen = []

    @dataclasses.dataclass(frozen=True)
    class Options:
        slope: float = seqlm.option(1.0, "A slope.")

    def build(input_size, hidden_size, options):
        seen.append(options.slope)
        return Unit(input_size, hidden_size)

    register_specs(seqlm.CellSpec("listed", "right", build, Options))
    next(check_plugin("cell", "listed", {"slope": "0.5"}))
    assert set(seen) == {0.5}
    next(check_plugin("cell", "listed"))
    assert set(seen) == {0.5, 1.0}


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        ("cell", "lsmt", {}, "no cell 'lsmt' (did you mean 'lstm'?)"),
        ("optimizer", "sgd", {"speed": 1}, "optimizer 'sgd' has no option 'speed'"),
        ("optimizer", "sgd", {"momentum": 2}, "momentum must be at least 0 and below 1, not 2"),
        ("tokenizer", "char", {"n": 1}, "tokenizer 'char' has no options, so none called 'n'"),
    ],
)
def test_what_there_is_not_is_told_before_the_first_check(kind, name, options, message):
    with pytest.raises(seqlm.UsageError, match=re.escape(message)):
        check_plugin(kind, name, options)


def test_kind_and_name_are_parsed():
    assert parse_plugin("cell:my-cell") == ("cell", "my-cell")
    assert parse_plugin("tokenizer:a:b") == ("tokenizer", "a:b")


@pytest.mark.parametrize("text", ["", "lstm", "cell", "cell:", ":lstm", "cells:lstm", "Cell:lstm", "cell lstm"])
def test_what_is_no_kind_and_name_is_refused(text):
    with pytest.raises(seqlm.UsageError) as caught:
        parse_plugin(text)
    assert str(caught.value) == (f"{text!r} is not KIND:NAME, such as cell:lstm; kinds are cell, tokenizer, optimizer")
