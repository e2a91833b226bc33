"""Texts are cut into tokens once: what is kept, when it is used, and what happens when it cannot be."""

# ruff: noqa: RUF001 - a text is Chinese

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.plugins.components import Components
from seqlm_core.reading import integer_file, preparing, survey, tokenizing
from seqlm_core.reading.corpus import read_corpus, read_text
from seqlm_core.reading.text import TextFile
from seqlm_core.storage.cache import Cache

TEXT = "".join(f"line {number} of a text, and {number % 7} again\n" for number in range(300))
CHINESE = "床前明月光，疑是地上霜。\n" * 50
PLUGIN = """
import seqlm_core as seqlm

class Words:
    def tokenize(self, text):
        return [part for part in text.replace(" ", "\\0 \\0").split("\\0") if part]

    def detokenize(self, tokens):
        return "".join(tokens)

    def last_cut(self, text):
        return text.rfind(" ") + 1

@seqlm.hookimpl
def seqlm_tokenizers():
    return seqlm.TokenizerSpec("cut-by-spaces", "words", lambda options: Words())
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache that keeps the smallest texts, and recognizes files that were written just now."""
    monkeypatch.setenv("SEQLM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SEQLM_CACHE_LIMIT", "1")
    monkeypatch.setattr(preparing, "SMALLEST_KEPT", 0)
    monkeypatch.setattr(survey, "SETTLED", -1e9)
    return seqlm.text_cache()


@pytest.fixture
def cuts(monkeypatch):
    """A list to which each piece of text that is cut in this process is added."""
    pieces = []
    cut_blocks = tokenizing.cut_blocks

    def noted(blocks, tokenizer):
        for piece in cut_blocks(blocks, tokenizer):
            pieces.append(piece)
            yield piece

    monkeypatch.setattr("seqlm_core.reading.numbering.cut_blocks", noted)
    return pieces


def tokenizer(name="word", **options):
    settings = seqlm.LanguageSettings(tokenizer=name, tokenizer_options=options)
    return Components.choose(settings, seqlm.installed_plugins()).build_tokenizer()


def written(path, text=TEXT):
    path.write_text(text, encoding="utf-8")
    return path


def contents(corpus):
    """Return all that a training takes from a corpus."""
    parts = [corpus.training] if corpus.validation is None else [corpus.training, corpus.validation]
    return [corpus.vocabulary.tokens, corpus.vocabulary.counts.tolist()] + [
        (list(part.ids), part.characters, part.unknown_tokens, None if part.ends is None else part.ends.tolist())
        for part in parts
    ]


@pytest.mark.parametrize("documents", ["none", "line", "file"])
@pytest.mark.parametrize("name", ["char", "word", "space"])
def test_a_text_that_was_prepared_is_not_cut_again_and_is_the_same(name, documents, cache, cuts, tmp_path, monkeypatch):
    path = written(tmp_path / "text.txt")
    how = {"validation_fraction": 0.2, "documents": documents, "min_count": 2}
    first = contents(read_corpus([path], tokenizer(name), **how))
    assert cuts
    cuts.clear()
    assert contents(read_corpus([path], tokenizer(name), **how)) == first
    assert not cuts
    monkeypatch.setenv("SEQLM_CACHE_LIMIT", "0")
    assert contents(read_corpus([path], tokenizer(name), **how)) == first
    assert cuts


def test_neither_the_vocabulary_nor_the_name_of_the_file_makes_a_text_another(cache, cuts, tmp_path):
    read_corpus([written(tmp_path / "text.txt")], tokenizer())
    cuts.clear()
    rare = read_corpus([written(tmp_path / "other.txt")], tokenizer(), min_count=3, max_vocabulary=5)
    assert not cuts
    assert len(rare.vocabulary) == 6
    assert rare.training.unknown_tokens > 0
    own = read_text([tmp_path / "text.txt"], tokenizer(), rare.vocabulary)
    assert not cuts
    assert (own.unknown_tokens, own.first_unknown) == (rare.training.unknown_tokens, rare.training.first_unknown)


@pytest.mark.parametrize(
    "change",
    [
        {"text": TEXT + "more"},
        {"name": "space"},
        {"options": {"boundaries": "unicode"}},
        {"how": {"documents": "line"}},
        {"how": {"encoding": "latin-1"}},
        {"how": {"validation_fraction": 0.1}},
        {"how": {"validation_fraction": 0.2, "validation_limit": 100}},
    ],
    ids=str,
)
def test_all_that_the_tokens_depend_on_makes_a_text_another(change, cache, cuts, tmp_path):
    how = {"validation_fraction": 0.2}
    read_corpus([written(tmp_path / "text.txt")], tokenizer(boundaries="nltk"), **how)
    cuts.clear()
    options = {} if "name" in change else {"boundaries": "nltk", **change.get("options", {})}
    path = written(tmp_path / "text.txt", change.get("text", TEXT))
    read_corpus([path], tokenizer(change.get("name", "word"), **options), **{**how, **change.get("how", {})})
    assert cuts
    assert len(cache.entries()) == 2


def test_the_order_of_files_and_where_they_end_makes_a_text_another(cache, cuts, tmp_path):
    one, other = written(tmp_path / "one.txt", "a b c d"), written(tmp_path / "other.txt", "e f g h")
    both = written(tmp_path / "both.txt", "a b c de f g h")
    found = [contents(read_corpus(files, tokenizer("space"))) for files in ([one, other], [other, one], [both])]
    assert len(cache.entries()) == 3
    assert len({json.dumps(corpus) for corpus in found}) == 3


def test_a_plugin_that_is_changed_cuts_again(cache, cuts, tmp_path):
    text = written(tmp_path / "text.txt")
    plugin = written(tmp_path / "words.py", PLUGIN)
    for source in (PLUGIN, PLUGIN, PLUGIN + "\n# another version\n"):
        plugin.write_text(source)
        seqlm.load_plugin(plugin)
        read_corpus([text], tokenizer("cut-by-spaces"))
    assert len(cache.entries()) == 2
    seqlm.installed_plugins.cache_clear()


def test_the_tokenizer_of_a_running_program_is_not_kept_since_its_code_is_not_known(cache, tmp_path, register_specs):
    spec = seqlm.installed_plugins().tokenizers.get("char")
    register_specs(seqlm.TokenizerSpec("own", "of this test", spec.build))
    read_corpus([written(tmp_path / "text.txt")], tokenizer("own"))
    assert cache.entries() == []


def test_what_a_tokenizer_learns_is_learnt_once(cache, cuts, tmp_path, monkeypatch):
    path = written(tmp_path / "text.txt", CHINESE)
    first = read_corpus([path], tokenizer(), validation_fraction=0.2)
    assert first.tokenizer.boundaries == "unicode"
    learning = tokenizer()
    monkeypatch.setattr(learning.inner, "train", None)
    second = read_corpus([path], learning, validation_fraction=0.2)
    assert second.tokenizer.state() == {"boundaries": "unicode"}
    assert contents(second) == contents(first)


def test_what_json_cannot_hold_is_not_kept_and_is_told_as_the_plugins_error(cache, tmp_path):
    learning = PLUGIN.replace(
        "class Words:", "class Words:\n    def train(self, texts):\n        self.seen = set().union(*texts)\n\n"
        "    def state(self):\n        return {'seen': self.seen}\n\n    def restore(self, state):\n        pass\n",
    )  # fmt: skip
    seqlm.load_plugin(written(tmp_path / "words.py", learning))
    text = written(tmp_path / "text.txt")
    assert len(read_corpus([text], tokenizer("cut-by-spaces")).training)
    assert cache.entries() == []
    with pytest.raises(seqlm.PluginError, match="state"):
        seqlm.train(text, out=tmp_path / "run", tokenizer="cut-by-spaces", quiet=True, **{**SMALL, "max_steps": 2})
    seqlm.installed_plugins.cache_clear()


def test_a_tokenizer_learns_once_also_if_nothing_can_be_kept(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQLM_CACHE_DIR", str(written(tmp_path / "a-file")))
    learning = tokenizer()
    train, times = learning.inner.train, []
    monkeypatch.setattr(learning.inner, "train", lambda texts: (times.append(1), train(texts)))
    read_corpus([written(tmp_path / "text.txt", CHINESE)], learning, validation_fraction=0.2)
    assert times == [1]


def test_a_file_that_was_altered_is_read_again_though_its_size_and_time_are_the_same(cache, tmp_path):
    path = written(tmp_path / "text.txt")
    before = path.stat()
    read_corpus([path], tokenizer("char"))
    time.sleep(0.02)  # the clock of the file system ticks
    with path.open("r+") as file:
        file.write("LINE")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "L" in read_corpus([path], tokenizer("char")).vocabulary


def test_a_file_that_was_written_just_now_is_not_recognized_by_its_times(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "SETTLED", 2.0)
    read_corpus([written(tmp_path / "text.txt")], tokenizer("char"))
    assert not (cache.folder / "facts").exists()


def test_a_recognized_file_is_not_read_and_a_run_records_the_same_digest(cache, tmp_path, monkeypatch):
    path = written(tmp_path / "text.txt")
    read = TextFile(path)
    read_corpus([read], tokenizer("char"))
    monkeypatch.setattr(TextFile, "blocks", None)
    recognized = TextFile(path)
    read_corpus([recognized], tokenizer("char"))
    assert recognized.fingerprint == read.fingerprint
    other = TextFile(path, recorded=survey.Fingerprint(read.fingerprint.size, "0" * 32))
    with pytest.raises(seqlm.RunError, match="has changed since the run began"):
        read_corpus([other], tokenizer("char"))


def test_a_run_that_goes_on_takes_the_prepared_text_and_equals_one_that_was_not_stopped(
    cache, cuts, tmp_path, short_text
):
    settings = {**SMALL, "tokenizer": "word", "min_count": 1, "schedule": "constant"}
    whole = seqlm.train(short_text, out=tmp_path / "whole", quiet=True, epochs=2, **settings)
    cuts.clear()
    half = seqlm.train(short_text, out=tmp_path / "half", quiet=True, epochs=1, **settings)
    rest = seqlm.resume(half.path, quiet=True, epochs=2)
    assert not cuts
    for name, weights in whole.weights.items():
        np.testing.assert_array_equal(weights, rest.weights[name])


DAMAGES = {
    "a shorter file": lambda entry: os.truncate(entry / "training.numbers", 10),
    "a missing file": lambda entry: (entry / "training.counts.npy").unlink(),
    "other tokens": lambda entry: (entry / "tokens.json").write_text("[]"),
    "no description": lambda entry: (entry / "entry.json").write_text("{}"),
    "counts that are none": lambda entry: (entry / "training.counts.npy").write_bytes(b"PK"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_made_again(damage, cache, tmp_path):
    path = written(tmp_path / "text.txt")
    first = contents(read_corpus([path], tokenizer()))
    damage(next(entry.path for entry in cache.entries()))
    assert contents(read_corpus([path], tokenizer())) == first
    assert contents(read_corpus([path], tokenizer())) == first
    assert len(cache.entries()) == 1


def test_without_room_the_text_is_prepared_for_this_time_alone(cache, tmp_path, monkeypatch, caplog):
    path = written(tmp_path / "text.txt")
    write = integer_file.IntegerFile.write

    def no_room(file, integers, largest):
        if file._path is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file._path))
        write(file, integers, largest)

    monkeypatch.setattr(integer_file.IntegerFile, "write", no_room)
    corpus = read_corpus([path], tokenizer("char"), validation_fraction=0.1)
    assert len(corpus.training) == int(len(TEXT) * 0.9)
    assert "cannot be kept in" in caplog.text
    assert "No space left on device" in caplog.text
    assert [entry.name for entry in cache.folder.iterdir()] == ["facts"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, cache, monkeypatch, caplog):
    monkeypatch.setenv("SEQLM_CACHE_DIR", str(written(tmp_path / "a-file")))
    assert len(read_corpus([written(tmp_path / "text.txt")], tokenizer("char")).training) == len(TEXT)
    assert len(caplog.records) == 1
    assert "a-file" in caplog.text


def test_a_preparation_that_is_interrupted_leaves_nothing(cache, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    path = written(tmp_path / "text.txt")
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "number_tokens", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_corpus([path], tokenizer("char"))
    assert [entry.name for entry in cache.folder.iterdir()] == ["facts"]
    read_corpus([path], tokenizer("char"))
    assert len(cache.entries()) == 1


MAKES = """
import os, signal, sys, time
from pathlib import Path
from seqlm_core.storage.cache import Cache

def make(folder):
    (folder / "file").write_text("of " + sys.argv[2])
    print("making", flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.readline()
    return {"by": sys.argv[2]}

entry = Cache(Path(sys.argv[1]), 10**9).find_or_make("key", make)
print(entry.description["by"], (entry.path / "file").read_text(), flush=True)
"""


def maker(folder, name):
    return subprocess.Popen(
        [sys.executable, "-c", MAKES, str(folder), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_process_that_is_killed_leaves_nothing_that_is_used(tmp_path):
    killed = maker(tmp_path, "killed")
    assert killed.communicate()[0] == "making\n"
    assert [path.name for path in tmp_path.iterdir()] == [".key"]
    assert Cache(tmp_path, 10**9).entries() == []
    other = maker(tmp_path, "other")
    assert other.communicate("\n")[0] == "making\nother of other\n"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_of_two_processes_one_makes_the_entry_and_the_other_waits(tmp_path):
    first = maker(tmp_path, "first")
    assert first.stdout.readline() == "making\n"
    second = maker(tmp_path, "second")
    time.sleep(0.5)
    assert Cache(tmp_path, 10**9).clear() == 0
    assert second.poll() is None
    assert first.communicate("\n")[0] == "first of first\n"
    assert second.communicate()[0] == "first of first\n"


def test_a_process_that_waits_makes_the_entry_itself_if_the_other_one_dies(tmp_path):
    first = maker(tmp_path, "first")
    assert first.stdout.readline() == "making\n"
    second = maker(tmp_path, "second")
    time.sleep(0.5)
    first.kill()
    first.communicate()
    assert second.communicate("\n")[0] == "making\nsecond of second\n"


def of_size(size):
    def make(folder):
        (folder / "file").write_bytes(bytes(size))
        return {}

    return make


def test_what_was_unused_for_longest_makes_room(tmp_path):
    cache = Cache(tmp_path, 3500)
    for number, key in enumerate("abc"):
        entry = cache.find_or_make(key, of_size(1000))
        os.utime(entry.path / "entry.json", (number, number))
    assert cache.find("a").used > 1000
    cache.find_or_make("d", of_size(1000))
    assert {entry.path.name for entry in cache.entries()} == {"a", "d", "c"}
    cache.find_or_make("e", of_size(3000))
    assert [entry.path.name for entry in cache.entries()] == ["e"]
    (tmp_path / ".left").mkdir()
    assert cache.clear() > 3000
    assert list(tmp_path.iterdir()) == []


def test_facts_are_bounded_in_number(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlm_core.storage.cache.MOST_FACTS", 3)
    cache = Cache(tmp_path, 1000)
    for number in range(5):
        cache.keep_fact(str(number), {"number": number})
        os.utime(tmp_path / "facts" / f"{number}.json", (number, number))
    assert [cache.fact(str(number)) for number in range(5)] == [None, None, *({"number": n} for n in (2, 3, 4))]


def test_a_text_larger_than_the_cache_may_be_is_read_and_not_kept(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQLM_CACHE_LIMIT", "0.000001")
    corpus = read_corpus([written(tmp_path / "text.txt")], tokenizer("char"))
    assert "".join(corpus.vocabulary.tokens[i] for i in corpus.training.ids) == TEXT
    assert cache.entries() == []


def test_small_texts_are_not_kept(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "SMALLEST_KEPT", len(TEXT) + 1)
    read_corpus([written(tmp_path / "text.txt")], tokenizer("char"))
    assert not cache.folder.exists()


@pytest.mark.parametrize("limit", ["-1", "much", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(limit, monkeypatch):
    monkeypatch.setenv("SEQLM_CACHE_LIMIT", limit)
    with pytest.raises(seqlm.UsageError, match="SEQLM_CACHE_LIMIT must be a number of gigabytes"):
        seqlm.text_cache()


def test_the_cache_is_in_the_folder_of_the_users_caches(monkeypatch):
    monkeypatch.delenv("SEQLM_CACHE_DIR", raising=False)
    monkeypatch.delenv("SEQLM_CACHE_LIMIT", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert seqlm.text_cache().limit == 10_000_000_000
    if sys.platform == "linux":
        assert seqlm.text_cache().folder == Path("/caches/seqlm/texts")
