"""Texts that change while they are read are refused, and a run records the text that it was trained on."""

from __future__ import annotations

import hashlib
import os

import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.reading import text as text_module
from seqlm_core.reading.corpus import read_corpus
from seqlm_core.reading.text import TextFile
from seqlm_core.sequences.columns import read_sequences

TEXT = "".join(f"line {number} of a text\n" for number in range(2000))
BLOCK = 4096
OTHER = TEXT.replace("e", "o")


def append(path):
    with path.open("a") as file:
        file.write("more")


def cut(path):
    os.truncate(path, len(TEXT) // 2)


def replace(path):
    other = path.with_suffix(".new")
    other.write_text(OTHER)
    os.replace(other, path)


def alter(path):
    """Write other letters into the same file, and leave its time as it was."""
    before = path.stat()
    with path.open("r+") as file:
        file.write(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = [append, cut, replace, alter]


class Meddler:
    """Characters as tokens; what is called for the n-th time changes the text first."""

    def __init__(self, change, method, call):
        self.change, self.method, self.left = change, method, call

    def _called(self, method):
        if method == self.method:
            self.left -= 1
            if not self.left:
                self.change()

    def tokenize(self, text):
        self._called("tokenize")
        return list(text)

    def detokenize(self, tokens):
        return "".join(tokens)

    def last_cut(self, text):
        return len(text)

    def train(self, texts):
        for _ in texts:
            self._called("train")

    def state(self):
        self._called("state")
        return {}

    def restore(self, state):
        pass


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "BLOCK_BYTES", BLOCK)
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def register():
    seqlm.installed_plugins.cache_clear()
    yield seqlm.installed_plugins().register
    seqlm.installed_plugins.cache_clear()


def plugin_of(tokenizer):
    class Plugin:
        @seqlm.hookimpl
        def seqlm_tokenizers(self):
            return seqlm.TokenizerSpec("meddler", "changes the text", lambda options: tokenizer)

    return Plugin()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize(
    ("method", "call"), [("train", 1), ("train", 4), ("tokenize", 1), ("tokenize", 3), ("tokenize", 7)]
)
def test_a_text_that_changes_between_its_passes_is_refused(change, method, call, text):
    tokenizer = Meddler(lambda: change(text), method, call)
    with pytest.raises(seqlm.TextError, match=r"text\.txt changed while it was read"):
        read_corpus([text], tokenizer, validation_fraction=0.5)
    assert tokenizer.left <= 0


@pytest.mark.parametrize("change", [append, cut, replace], ids=lambda change: change.__name__)
def test_a_text_that_changes_during_its_only_pass_is_refused(change, text, trained):
    run = seqlm.LanguageRun(trained(cell="gru").path)
    run.tokenizer = Meddler(lambda: change(text), "tokenize", 3)
    with pytest.raises(seqlm.TextError, match=r"text\.txt changed while it was read"):
        run.evaluate(text)


def test_a_validation_file_that_changes_is_refused(text, tmp_path):
    held_out = tmp_path / "held-out.txt"
    held_out.write_text(TEXT)
    tokenizer = Meddler(lambda: append(held_out), "tokenize", len(TEXT) // BLOCK + 5)
    with pytest.raises(seqlm.TextError, match=r"held-out\.txt changed while it was read"):
        read_corpus([text], tokenizer, validation_paths=[held_out])


def test_a_column_file_that_changes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 16)
    path = tmp_path / "columns.tsv"
    path.write_text("a\tA\nb\tB\n\n" * 20)
    sequences = read_sequences(path)
    next(sequences)
    append(path)
    with pytest.raises(seqlm.TextError, match=r"columns\.tsv changed while it was read"):
        list(sequences)


@pytest.mark.parametrize("validation_fraction", [0.0, 0.1])
def test_a_run_records_what_it_read_and_not_what_is_there_later(text, register, tmp_path, validation_fraction):
    # The state is asked for when all is read, and nothing is recorded yet.
    register(plugin_of(Meddler(lambda: alter(text), "state", 1)))
    settings = {**SMALL, "tokenizer": "meddler", "validation_fraction": validation_fraction}
    run = seqlm.train(text, out=tmp_path / "run", epochs=1, schedule="constant", quiet=True, **settings)
    (recorded,) = run.config["texts"]["training"]
    assert text.read_text() == OTHER
    assert recorded["digest"] == hashlib.blake2b(TEXT.encode(), digest_size=16).hexdigest()
    assert recorded["bytes"] == len(TEXT)
    with pytest.raises(seqlm.RunError, match=r"text\.txt has changed since the run began"):
        seqlm.resume(run.path, quiet=True, epochs=2)


@pytest.mark.parametrize(
    "change", [append, alter, lambda path: path.write_bytes(b"\xff" * len(TEXT))], ids=["append", "alter", "no text"]
)
def test_going_on_compares_the_text_that_it_reads(change, text, register, tmp_path):
    settings = {**SMALL, "tokenizer": "meddler", "schedule": "constant", "quiet": True, "validation_fraction": 0}
    tokenizer = Meddler(lambda: change(text), "tokenize", 10**6)
    register(plugin_of(tokenizer))
    run = seqlm.train(text, out=tmp_path / "run", epochs=1, **settings)
    tokenizer.left = 2  # in the only pass of a training that goes on
    before = (run.path / "last.safetensors").read_bytes()
    with pytest.raises(seqlm.SeqlmError, match=r"text\.txt (changed while|has changed since)"):
        seqlm.resume(run.path, quiet=True, epochs=2)
    assert tokenizer.left <= 0
    assert (run.path / "last.safetensors").read_bytes() == before


def test_examples_of_a_run_that_were_altered_are_refused(tmp_path):
    examples = [(["a", "b"], ["A", "B"]), (["b", "a", "b"], ["B", "A", "B"])] * 10
    run = seqlm.SequenceModel(hidden_size=4).train(examples, [], out=tmp_path / "run", quiet=True)
    kept = run.path / "training-examples.jsonl"
    (recorded,) = run.config["texts"]["training"]
    assert recorded["digest"] == hashlib.blake2b(kept.read_bytes(), digest_size=16).hexdigest()
    kept.write_text(kept.read_text().replace("a", "c", 1))
    with pytest.raises(seqlm.RunError, match=r"training-examples\.jsonl has changed since the run began"):
        seqlm.resume(run.path, quiet=True)


def test_a_text_that_stays_is_read_again_and_again(text):
    file = TextFile(text)
    assert "".join(file.blocks("utf-8")) == "".join(file.blocks("utf-8")) == TEXT
    next(file.blocks("utf-8"))
    assert file.fingerprint.digest == hashlib.blake2b(TEXT.encode(), digest_size=16).hexdigest()
