"""``--plugin FILE``: plugins that are not installed, on every command that uses plugins."""

from __future__ import annotations

import json
import logging
import shutil

import click
import pytest

import seqlm_core as core
from seqlm_core.command_line.main import cli, main
from seqlm_core.plugins.loading import installed_plugins

CELL = """
from __future__ import annotations

import dataclasses

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class Options:
    formula: str = seqlm.option("rnn_tanh", "The formula.")


def build(input_size, hidden_size, options):
    from seqlm_core.model.recurrent_layer import RecurrentLayer

    return RecurrentLayer(options.formula, input_size, hidden_size)


print("loaded")


@seqlm.hookimpl
def seqlm_cells():
    return [seqlm.CellSpec(name, "a wave", build, Options, bidirectional=name == "waves") for name in ("wave", "waves")]
"""
TOKENIZER = """
import seqlm_core as seqlm


class Letters:
    tokenize = staticmethod(list)
    detokenize = staticmethod("".join)
    last_cut = staticmethod(len)


@seqlm.hookimpl
def seqlm_tokenizers():
    return seqlm.TokenizerSpec("letters", "letters", lambda options: Letters())
"""
SIZES = ["--hidden-size", "4", "--batch-size", "4", "--warmup", "0", "--schedule", "constant"]
ONE_STEP = [*SIZES, "--max-steps", "1"]
WITHOUT_PLUGINS = {"new-plugin", "cache", "runs", "config"}


@pytest.fixture(autouse=True)
def forget_plugins(monkeypatch):
    """Each command begins as a process of its own does, with nothing loaded."""
    monkeypatch.setenv("SEQLM_PLUGINS", "")
    yield
    installed_plugins.cache_clear()


@pytest.fixture
def seqlm(capsys, monkeypatch):
    """Give the function that runs a command and returns its exit code and what it wrote."""

    def run(*arguments):
        installed_plugins.cache_clear()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        return caught.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wave.py").write_text(CELL)
    (tmp_path / "letters.py").write_text(TOKENIZER)
    (tmp_path / "text.txt").write_text("the cat sat on the mat. " * 40)
    (tmp_path / "tags.tsv").write_text("the\tD\ncat\tN\n\na\tD\ndog\tN\n\n" * 5)
    return tmp_path


@pytest.fixture
def run(seqlm, folder):
    """A run of a two-sided cell from a file."""
    train = ["train", "text.txt", "--cell", "waves", "--plugin", "wave.py", *ONE_STEP, "--sequence-length", "5"]
    code, out, err = seqlm(*train, "--out", "run")
    assert code == 0, err
    assert f"sample it    seqlm sample run --plugin {folder / 'wave.py'}" in out
    assert "loaded" not in out
    return "run"


def commands(group, before=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name), command


def test_every_command_that_uses_plugins_takes_them_from_files():
    without = {
        " ".join(name) for name, command in commands(cli) if "plugin_files" not in {p.name for p in command.params}
    }
    assert without == WITHOUT_PLUGINS


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "run", "--length", "3"),
        ("infill", "run", "the c_t"),
        ("evaluate", "run", "text.txt"),
        ("score", "run", "text.txt"),
        ("train", "--resume", "run", "--max-steps", "2", "--quiet"),
        ("train", "text.txt", "--init-from", "run", "--quiet", "--max-steps", "1"),
    ],
    ids=" ".join,
)
def test_a_run_is_used_with_the_file_given_again_and_refused_without_it(seqlm, folder, run, arguments):
    code, out, err = seqlm(*arguments)
    assert (code, out) == (1, "")
    path = folder / "wave.py"
    assert err.splitlines()[-1] == (
        f"seqlm: error: the run was made with cell 'waves' of the plugin {path}, which is not loaded: "
        f"give --plugin {path}"
    )
    code, out, err = seqlm(*arguments, "--plugin", "wave.py")
    assert code == 0, err
    assert out


def test_python_says_how_to_load_the_file_that_a_run_needs(folder, run):
    core.installed_plugins.cache_clear()
    path = folder / "wave.py"
    with pytest.raises(core.RunError) as caught:
        core.LanguageRun("run").sample(length=3)
    assert str(caught.value) == (
        f"the run was made with cell 'waves' of the plugin {path}, which is not loaded: "
        f"seqlm_core.load_plugin('{path}')"
    )


def test_a_tagger_is_trained_applied_and_evaluated_with_a_file(seqlm, folder):
    train = ["tag", "train", "tags.tsv", "--cell", "wave", "--char-cell", "waves", *ONE_STEP, "--out", "tagger"]
    assert seqlm(*train)[0] == 2
    code, out, err = seqlm(*train, "--plugin", "wave.py")
    assert code == 0, err
    assert f"seqlm tag apply tagger FILE --plugin {folder / 'wave.py'}" in out
    for command in (["apply"], ["evaluate"], ["train", "--resume"]):
        arguments = ["tag", *command, "tagger", *(["tags.tsv"] if command[0] != "train" else ["--max-steps", "2"])]
        assert "which is not loaded: give --plugin" in seqlm(*arguments)[2]
        code, _, err = seqlm(*arguments, "--plugin", "wave.py")
        assert code == 0, err


def test_several_files_are_listed_with_what_they_bring(seqlm, folder):
    code, out, err = seqlm("plugins", "--json", "--plugin", "wave.py", "--plugin", "letters.py")
    assert (code, err) == (0, "loaded\n")
    named = {(p["kind"], p["name"]): p["distribution"] for p in json.loads(out)["plugins"]}
    assert named[("cell", "wave")] == f"file:{folder / 'wave.py'}"
    assert named[("tokenizer", "letters")] == f"file:{folder / 'letters.py'}"
    (row,) = [row for row in seqlm("plugins", "--plugin", "wave.py")[1].splitlines() if row.split()[1] == "wave"]
    assert row.endswith(f"  file {folder / 'wave.py'}")


def test_a_file_is_checked(seqlm, folder):
    code, out, _ = seqlm("check", "--plugin", "letters.py")
    assert code == 0, out
    head, *lines = out.splitlines()
    assert head == f"tokenizer:letters of file {folder / 'letters.py'}"
    assert {line.split()[0] for line in lines} == {"ok"}


def test_a_file_that_has_moved_is_the_same_plugin_and_one_that_has_changed_is_warned_of(seqlm, folder, run):
    (folder / "elsewhere").mkdir()
    moved = shutil.move("wave.py", "elsewhere/wave.py")
    sample = ["sample", run, "--length", "3", "--seed", "1", "--plugin", moved]
    code, before, err = seqlm(*sample)
    assert (code, err) == (0, "loaded\n")
    (folder / "elsewhere" / "wave.py").write_text(CELL + "# changed\n")
    code, after, err = seqlm(*sample)
    assert (code, after) == (0, before)
    assert err.splitlines()[-1] == (
        f"seqlm: warning: the run's cell 'waves' was made with another version of file {folder / 'elsewhere/wave.py'}"
    )


def test_an_interrupted_training_says_to_give_the_file_again(folder):
    from seqlm_core.command_line.plugin_files import plugin_flags

    core.load_plugin("letters.py")
    (folder / "a b.py").write_text(CELL)
    core.load_plugin("a b.py")
    run = core.train(
        "text.txt", cell="wave", tokenizer="letters", out="run", quiet=True, **{"max_steps": 1, "hidden_size": 4}
    )
    assert plugin_flags(run.config["plugins"]) == f" --plugin '{folder / 'a b.py'}' --plugin {folder / 'letters.py'}"


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        (None, 2, "cannot be read: No such file or directory"),
        ("import os\n\n\nraise ValueError('not today')", 1, "cannot be loaded: ValueError: not today (bad.py, line 4)"),
        ("def", 1, "cannot be loaded: SyntaxError: invalid syntax (bad.py, line 1)"),
        ("import sys; sys.exit(3)", 1, "cannot be loaded: SystemExit: 3 (bad.py, line 1)"),
        ("", 1, "registers no cell, tokenizer or optimizer"),
        (TOKENIZER.replace('"letters"', '"char"', 1), 1, "tokenizer 'char' is a built-in's name; choose another"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_of_one_line(seqlm, folder, source, code, message):
    if source is not None:
        (folder / "bad.py").write_text(source)
    found, out, err = seqlm("plugins", "--plugin", "bad.py")
    assert (found, out) == (code, "")
    colon = "" if message.startswith("cannot") else ":"
    assert err == f"seqlm: error: plugin bad.py{colon} {message}\n"


def test_a_file_loaded_again_replaces_what_it_brought(folder):
    core.load_plugin("letters.py")
    (folder / "letters.py").write_text(TOKENIZER.replace('"letters", lambda', '"better letters", lambda'))
    core.load_plugin(folder / "letters.py")
    assert core.installed_plugins().tokenizers.get("letters").summary == "better letters"


def test_two_files_that_offer_a_name_are_both_named(seqlm, folder):
    (folder / "other.py").write_text(CELL)
    code, _, err = seqlm("train", "text.txt", "--cell", "wave", "--plugin", "wave.py", "--plugin", "other.py")
    assert code == 2
    assert f"cell 'wave' is offered by file {folder / 'wave.py'} and file {folder / 'other.py'}" in err


@pytest.fixture(autouse=True)
def logging_as_it_was():
    logger = logging.getLogger("seqlm")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)
