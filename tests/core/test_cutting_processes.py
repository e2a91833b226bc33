"""Large texts are cut into tokens by several processes, with the same result as by one."""

# ruff: noqa: RUF001 - a text is Chinese

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import seqlm_core as seqlm
from seqlm_core.engine import processes as started
from seqlm_core.plugins.components import Components
from seqlm_core.reading import cutting_processes as processes
from seqlm_core.reading import text
from seqlm_core.reading.corpus import read_corpus

FAILING = """
import seqlm_core as seqlm

class Failing:
    def tokenize(self, text):
        if "line 900" in text:
            raise KeyError("nine hundred")
        return list(text)

    def detokenize(self, tokens):
        return "".join(tokens)

    def last_cut(self, text):
        return len(text)

@seqlm.hookimpl
def seqlm_tokenizers():
    return seqlm.TokenizerSpec("failing", "fails", lambda options: Failing())
"""
DYING = FAILING.replace('raise KeyError("nine hundred")', "import os; os.kill(os.getpid(), 9)")


@pytest.fixture
def by_processes(monkeypatch):
    monkeypatch.setattr(text, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(processes, "usable_cores", lambda: 2)
    monkeypatch.setattr(processes, "SMALLEST_TEXT", 0)


def tokenizer(name, **options):
    settings = seqlm.LanguageSettings(tokenizer=name, tokenizer_options=options)
    return Components.choose(settings, seqlm.installed_plugins()).build_tokenizer()


def numbered(path, name, documents, **options):
    corpus = read_corpus([path], tokenizer(name, **options), documents=documents, validation_fraction=0.2)
    ends = None if corpus.training.ends is None else corpus.training.ends.tolist()
    return corpus.vocabulary.tokens, list(corpus.training.ids), list(corpus.validation.ids), ends


@pytest.mark.parametrize(("name", "documents"), [("word", "none"), ("word", "line"), ("space", "none")])
def test_several_processes_number_the_tokens_as_one_does(name, documents, by_processes, short_text, monkeypatch):
    by_several = numbered(short_text, name, documents)
    monkeypatch.setattr(processes, "usable_cores", lambda: 1)
    assert by_several == numbered(short_text, name, documents)


def test_each_process_has_what_the_tokenizer_learnt(by_processes, tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text("床前明月光，疑是地上霜。\n" * 200, encoding="utf-8")
    by_several = numbered(path, "word", "none")
    assert "月" in by_several[0]
    monkeypatch.setattr(processes, "usable_cores", lambda: 1)
    assert by_several == numbered(path, "word", "none")


@pytest.mark.parametrize(
    ("plugin", "error", "told"),
    [
        (
            FAILING,
            seqlm.PluginRuntimeError,
            "tokenizer:failing of file .* fails: KeyError: 'nine hundred' .*failing.py:7",
        ),
        (DYING, seqlm.SeqlmError, "a process that cut the text into tokens was ended"),
    ],
)
def test_what_goes_wrong_in_a_process_is_told_as_in_this_one(plugin, error, told, by_processes, tmp_path):
    (tmp_path / "failing.py").write_text(plugin)
    (tmp_path / "text.txt").write_text("".join(f"line {number}\n" for number in range(1000)))
    seqlm.load_plugin(tmp_path / "failing.py")
    try:
        with pytest.raises(error, match=told):
            read_corpus([tmp_path / "text.txt"], tokenizer("failing"))
    finally:
        seqlm.installed_plugins.cache_clear()


def test_without_what_processes_need_one_does_the_work(by_processes, short_text, monkeypatch):
    by_several = numbered(short_text, "space", "none")

    def refused(*_, **__):
        raise OSError("no semaphores")

    monkeypatch.setattr(started, "ProcessPoolExecutor", refused)
    assert numbered(short_text, "space", "none") == by_several


def test_codes_are_faster_than_processes(by_processes, short_text, monkeypatch):
    monkeypatch.setattr(started, "ProcessPoolExecutor", None)
    assert numbered(short_text, "char", "none")


WAITS = """
import os, sys, time
import seqlm_core.reading.cutting_processes as processes
from test_cutting_processes import tokenizer
processes.SMALLEST_TEXT = 0
processes.usable_cores = lambda: 2
with processes.cutting_processes(tokenizer("word"), "none", 1) as cutter:
    pieces = cutter(iter(["a text "] * 20))
    next(pieces)
    children = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read()
    print(children, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs the files of Linux")
def test_the_processes_end_when_the_one_that_began_them_is_killed():
    command = [sys.executable, "-c", WAITS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent) as began:
        children = began.stdout.readline().split()
        began.kill()
    assert len(children) >= 2
    until = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() and is_running(child) for child in children):
        assert time.monotonic() < until
        time.sleep(0.1)


def is_running(process):
    """Whether a process has not ended; without a parent that asks, an ended one may stay in the list."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
