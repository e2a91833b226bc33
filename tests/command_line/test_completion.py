"""What a shell completes: names of plugins, choices, runs, files and folders."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

import seqlm_core as seqlm
from seqlm_core.command_line.commands import cli

NEWEST = sorted((Path(__file__).parents[1] / "formats" / "runs").iterdir())[-1]


def completed(*words):
    """Return what is offered for the last of the words, and how a shell is to treat it."""
    *before, incomplete = words
    items = ShellComplete(cli, {}, "seqlm", "_SEQLM_COMPLETE").get_completions(list(before), incomplete)
    return [(item.type, item.value) for item in items]


def names(*words):
    offered = completed(*words)
    assert {kind for kind, _ in offered} <= {"plain"}
    return [value for _, value in offered]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The current folder, with runs at several places."""
    monkeypatch.chdir(tmp_path)
    for place in ("runs/book", "runs/old/books", "runs/names", "data/models/text-lstm-1", ".hidden"):
        shutil.copytree(NEWEST / "words" / "run", place)
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "rest").mkdir()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["train", "--cell"], "cells"),
        (["tag", "train", "--cell"], "cells"),
        (["tag", "train", "--char-cell"], "cells"),
        (["train", "--tokenizer"], "tokenizers"),
        (["train", "--optimizer"], "optimizers"),
    ],
)
def test_the_names_of_plugins_are_completed(words, kind):
    known = [entry.spec.name for entry in getattr(seqlm.installed_plugins(), kind)]
    assert names(*words, "") == known
    assert names(*words, known[0][:2]) == [name for name in known if name.startswith(known[0][:2])]
    assert names(*words, "zz") == []


def test_a_plugin_is_offered_with_what_it_is():
    items = ShellComplete(cli, {}, "seqlm", "_SEQLM_COMPLETE").get_completions(["train", "--cell"], "gru")
    assert [(item.value, item.help) for item in items] == [("gru", "gated recurrent unit")]


def test_a_plugin_file_is_not_executed_to_complete_its_names(tmp_path):
    (tmp_path / "plugin.py").write_text("raise SystemExit('executed')")
    assert names("train", "--plugin", str(tmp_path / "plugin.py"), "--cell", "gr") == ["gru"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["train", "--schedule", ""], ["constant", "cosine", "step", "plateau"]),
        (["train", "--schedule", "c"], ["constant", "cosine"]),
        (["tag", "train", "--output-layer", ""], ["softmax", "crf"]),
        (["train", "--documents", "f"], ["file"]),
        (["new-plugin", "--kind", "t"], ["tokenizer"]),
        (["ta"], ["tag"]),
        (["tag", "e"], ["evaluate"]),
        (["train", "--tie"], ["--tie-weights"]),
        (["train", "--no-t"], ["--no-tie-weights"]),
    ],
)
def test_choices_commands_and_options_are_completed(words, offered):
    assert names(*words) == offered


@pytest.mark.parametrize(
    "words",
    [
        ["sample"], ["infill"], ["evaluate"], ["score"], ["config"], ["tag", "apply"], ["tag", "evaluate"],
        ["train", "--resume"], ["train", "--init-from"], ["tag", "train", "--resume"],
        ["tag", "train", "--language-model"], ["tag", "apply", "--language-model"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_runs_are_completed_by_their_paths(words, runs):
    assert names(*words, "") == ["data/models/text-lstm-1", "runs/book", "runs/names", "runs/old/books"]
    assert names(*words, "runs/b") == ["runs/book"]
    assert names(*words, "ru") == ["runs/book", "runs/names", "runs/old/books"]
    assert names(*words, "./runs/old/") == ["runs/old/books"] or names(*words, "./runs/old/") == ["./runs/old/books"]


def test_where_no_run_begins_so_the_shell_completes_folders(runs):
    for incomplete in ("rest", "nowhere/", "runs/empty/", "runs/xyz"):
        assert completed("sample", incomplete) == [("dir", incomplete)]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["train"], "file"),
        (["train", "one.txt"], "file"),
        (["train", "--validation"], "file"),
        (["train", "--config"], "file"),
        (["train", "--plugin"], "file"),
        (["sample", "--prompt-file"], "file"),
        (["evaluate", "run"], "file"),
        (["score", "run"], "file"),
        (["tag", "train"], "file"),
        (["tag", "train", "--vectors"], "file"),
        (["tag", "apply", "run"], "file"),
        (["tag", "evaluate", "run"], "file"),
        (["tag", "evaluate", "run", "--confusion-picture"], "file"),
        (["train", "--out"], "dir"),
        (["runs"], "dir"),
        (["new-plugin", "--directory"], "dir"),
    ],
    ids=str,
)
def test_files_and_folders_are_left_to_the_shell(words, kind):
    assert completed(*words, "x") == [(kind, "x")]


def test_no_message_comes_between_what_is_typed(runs, monkeypatch, caplog):
    def warn(*_):
        logging.getLogger("seqlm").warning("in between")
        return iter([Path("runs/book")])

    monkeypatch.setattr("seqlm_core.runs.finding.run_folders", warn)
    assert "runs/book" in names("sample", "ru")
    assert caplog.text == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_the_script_of_a_shell(shell, tmp_path):
    program = "from seqlm_core.command_line.main import main; main([])"
    environment = {"_SEQLM_COMPLETE": f"{shell}_source", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert f"_SEQLM_COMPLETE={shell}_complete" in done.stdout
