"""``seqlm check`` and the pytest fixture: what they say, and how they end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqlm_core.command_line.main import main
from seqlm_core.conformance import kinds
from seqlm_core.conformance.check import Check, CheckFailure
from seqlm_core.conformance.kinds import checks_of
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.version import __version__

# A tokenizer's checks take least.
TOKENIZER = """
import dataclasses

import seqlm_core as seqlm


class Letters:
    def __init__(self, options):
        print("built", options)
        self.lower = options.lower

    def tokenize(self, text):
        return list(text.lower() if self.lower else text)

    def detokenize(self, tokens):
        return "".join(tokens)

    def last_cut(self, text):
        return len(text)


@dataclasses.dataclass(frozen=True)
class Options:
    lower: bool = seqlm.option(DEFAULT, "Lose the capitals.")


@seqlm.hookimpl
def seqlm_tokenizers():
    return seqlm.TokenizerSpec("NAME", "letters", Letters, Options)
"""
GOOD = TOKENIZER.replace("NAME", "letters").replace("DEFAULT", "False")
WRONG = TOKENIZER.replace("NAME", "small-letters").replace("DEFAULT", "True")
BROKEN = "raise ImportError('no such library')"


@pytest.fixture(autouse=True)
def no_strangers(monkeypatch):
    """Leave out what else is installed, and look for plugins anew."""
    monkeypatch.setenv("SEQLM_PLUGINS", "")
    installed_plugins.cache_clear()
    yield
    installed_plugins.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Give the function that installs plugins, each of one module, as ``pip`` would."""
    modules = []

    def install(**sources):
        for name, source in sources.items():
            module = f"fake_{name}_for_check"
            modules.append(module)
            info = tmp_path / f"{name}_plug-2.5.dist-info"
            info.mkdir()
            (tmp_path / f"{module}.py").write_text(source)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plug\nVersion: 2.5\n")
            (info / "entry_points.txt").write_text(f"[seqlm]\n{name} = {module}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        monkeypatch.setenv("SEQLM_PLUGINS", ",".join(f"{name}-plug" for name in sources))
        installed_plugins.cache_clear()

    yield install
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def seqlm(capsys):
    """Give the function that runs a command and returns its exit code and what it wrote."""

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        return caught.value.code, *capsys.readouterr()

    return run


def quick_check(component):
    if component.options.lower:
        raise CheckFailure("'A' becomes \u00e9")
    return "1 text"


@pytest.fixture
def quick_checks(monkeypatch):
    """Replace the checks by two that take no time."""
    checks = [
        Check("is there", "nothing", lambda component: ""),
        Check("keeps capitals", "the case", quick_check),
    ]
    monkeypatch.setattr(kinds, "checks_of", lambda kind: checks)


def test_there_is_a_line_for_each_check_below_one_for_the_plugin(seqlm, install):
    install(good=GOOD)
    code, out, err = seqlm("check", "tokenizer:letters")
    assert code == 0
    head, *lines = out.splitlines()
    assert head == "tokenizer:letters of good-plug 2.5"
    assert [re.sub(r" \([^()]*\)$", "", line) for line in lines] == [
        f"  ok      {check.demand}" for check in checks_of("tokenizer")
    ]
    assert out.isascii()
    assert set(err.splitlines()) == {"built Options(lower=False)"}


def test_a_check_that_failed_has_a_line_for_what_is_wrong_and_one_for_where_to_look(seqlm, install):
    install(wrong=WRONG)
    code, out, err = seqlm("check")
    assert code == 1
    assert out.splitlines()[:4] == [
        "tokenizer:small-letters of wrong-plug 2.5",
        f"  FAILED  {checks_of('tokenizer')[0].demand}",
        out.splitlines()[2],
        f"            look at: {checks_of('tokenizer')[0].look_at}",
    ]
    assert re.fullmatch(r" {12}'[A-Z]' becomes \['[a-z]'\], which joined is '[a-z]'", out.splitlines()[2])
    assert len(out.splitlines()) == 4
    assert err.splitlines()[-1] == "seqlm: error: 1 checks failed"


def test_without_names_the_strangers_plugins_are_checked_and_the_broken_ones_told(seqlm, install, quick_checks):
    install(good=GOOD, wrong=WRONG, bad=BROKEN)
    code, out, err = seqlm("check")
    assert code == 1
    blocks = {
        "tokenizer:letters of good-plug 2.5\n  ok      is there\n  ok      keeps capitals (1 text)\n",
        "tokenizer:small-letters of wrong-plug 2.5\n  ok      is there\n  FAILED  keeps capitals\n"
        "            'A' becomes \\xe9\n            look at: the case\n",
        "bad of bad-plug 2.5 is broken: ImportError: no such library\n",
    }
    assert all(block in out for block in blocks)
    assert len(out) == sum(map(len, blocks))
    assert err.splitlines()[-1] == "seqlm: error: 1 checks failed, and 1 plugins are broken"


def test_a_broken_plugin_alone_is_a_failure(seqlm, install):
    install(bad=BROKEN)
    code, out, err = seqlm("check")
    assert (code, out) == (1, "bad of bad-plug 2.5 is broken: ImportError: no such library\n")
    assert err.splitlines()[-1] == "seqlm: error: 0 checks failed, and 1 plugins are broken"


def test_a_broken_plugin_is_no_matter_where_another_is_named(seqlm, install, quick_checks):
    install(good=GOOD, bad=BROKEN)
    code, out, _ = seqlm("check", "tokenizer:letters")
    assert code == 0
    assert "broken" not in out


def test_without_strangers_it_says_so(seqlm):
    code, out, err = seqlm("check")
    assert (code, err) == (0, "")
    assert out == "there are no plugins but those that come with seqlm; name one to check it, such as cell:lstm\n"


def test_several_plugins_can_be_named(seqlm, install, quick_checks):
    install(good=GOOD, wrong=WRONG)
    code, out, _ = seqlm("check", "tokenizer:small-letters", "tokenizer:letters")
    assert code == 1
    heads = [line for line in out.splitlines() if not line.startswith(" ")]
    assert heads == ["tokenizer:small-letters of wrong-plug 2.5", "tokenizer:letters of good-plug 2.5"]


def test_a_built_in_can_be_named(seqlm, monkeypatch):
    monkeypatch.setattr(kinds, "checks_of", lambda kind: [Check("is there", "nothing", lambda component: "")])
    assert seqlm("check", "cell:lstm") == (0, f"cell:lstm of seqlm {__version__}\n  ok      is there\n", "")


def test_an_option_reaches_the_checks(seqlm, install, quick_checks):
    install(good=GOOD)
    assert seqlm("check", "tokenizer:letters", "--option", "lower=yes")[0] == 1
    assert seqlm("check", "--option", "lower=no")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lstm"], "'lstm' is not KIND:NAME, such as cell:lstm; kinds are cell, tokenizer, optimizer"),
        (["unit:lstm"], "'unit:lstm' is not KIND:NAME, such as cell:lstm; kinds are cell, tokenizer, optimizer"),
        (["cell:lsmt"], "no cell 'lsmt' (did you mean 'lstm'?); there are: "),
        (["tokenizer:lstm"], "no tokenizer 'lstm'"),
        (["tokenizer:letters", "cell:lsmt"], "no cell 'lsmt' (did you mean 'lstm'?)"),
        (["tokenizer:letters", "--option", "upper=1"], "tokenizer 'letters' has no option 'upper'"),
        (["tokenizer:letters", "--option", "lower=2"], "'lower' of 'letters' must be true or false, not '2'"),
        (["tokenizer:letters", "--option", "lower"], "--option 'lower' must be written NAME=VALUE"),
        (["tokenizer:letters", "tokenizer:char", "--option", "lower=1"], "--option is for a single plugin; name it as"),
        (["--wrong"], "--wrong"),
    ],
)
def test_a_wrong_request_is_told_before_any_check_is_run(seqlm, install, arguments, message):
    install(good=GOOD)
    code, out, err = seqlm("check", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("seqlm: error: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_an_option_is_for_one_plugin_also_where_none_is_named(seqlm, install):
    install(good=GOOD, wrong=WRONG)
    code, out, err = seqlm("check", "--option", "lower=1")
    assert (code, out) == (2, "")
    assert "--option is for a single plugin; name it as KIND:NAME" in err


# The fixture, in a test run of its own


@pytest.fixture
def run_pytest(tmp_path):
    """Give the function that runs tests in a process of its own and returns its exit code and what it wrote."""

    def run(source, *arguments):
        (tmp_path / "test_plugins.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


TESTS = """
def test_my_tokenizer(seqlm_conformance):
    seqlm_conformance("tokenizer:letters")


def test_another(seqlm_conformance):
    seqlm_conformance("tokenizer:letters", lower=True)
"""


def test_the_fixture_passes_a_right_plugin_and_fails_a_wrong_one_with_the_lines_of_its_checks(install, run_pytest):
    install(good=GOOD)
    code, out = run_pytest(TESTS, "-q", "-W", "error", "-n", "2")
    assert code == 1
    assert "1 failed, 1 passed" in out
    first = checks_of("tokenizer")[0]
    shown = out[out.index("tokenizer:letters does not conform:") :].splitlines()
    assert shown[1] == f"  FAILED  {first.demand}"
    assert re.fullmatch(r" {12}'[A-Z]' becomes \['[a-z]'\], which joined is '[a-z]'", shown[2])
    assert shown[3] == f"            look at: {first.look_at}"
    assert "Traceback" not in out
    assert "pytest.fail" not in out


def test_the_fixture_refuses_what_there_is_not(run_pytest):
    code, out = run_pytest('def test_it(seqlm_conformance):\n    seqlm_conformance("cell:lsmt")\n', "-q")
    assert code == 1
    assert "no cell 'lsmt' (did you mean 'lstm'?)" in out


def test_the_fixture_checks_what_the_running_program_registered(run_pytest):
    source = (
        f"{WRONG}\nimport sys\n\ndef test_it(seqlm_conformance):\n"
        "    seqlm.installed_plugins().register(sys.modules[__name__])\n"
        '    seqlm_conformance("tokenizer:small-letters", lower=False)\n'
    )
    code, out = run_pytest(source, "-q", "-W", "error")
    assert code == 0, out


def test_the_fixture_is_listed_with_what_it_does(run_pytest):
    _, out = run_pytest("", "--fixtures", "-q")
    assert (
        "A function that fails the test unless a plugin passes all checks. The failure has a line for each check."
        in out
    )


def test_where_the_fixture_is_not_used_it_costs_nothing_and_can_be_left_out(run_pytest):
    source = """
import sys

def test_it():
    assert not any(name == "mxnet" or name.startswith("seqlm_core.conformance") for name in sys.modules)
    assert ("seqlm_core.testing" in sys.modules) == SHOULD_BE_THERE
"""
    code, out = run_pytest(source.replace("SHOULD_BE_THERE", "True"), "-q", "-W", "error")
    assert code == 0, out
    code, out = run_pytest(source.replace("SHOULD_BE_THERE", "False"), "-q", "-W", "error", "-p", "no:seqlm")
    assert code == 0, out


def test_the_module_of_the_fixture_imports_nothing_but_pytest():
    import seqlm_core.testing

    source = Path(seqlm_core.testing.__file__).read_text()
    imported = re.findall(r"^(?:import|from) (\S+)", source, re.MULTILINE)
    assert set(imported) == {"__future__", "typing", "pytest"}
