"""What can go wrong with taggers and other sequence models: told in a line or two, nothing lost, no traceback."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil

import numpy as np
import pytest
from tagger_commands import TINY, as_text, done, give_standard_input, run_cli, toy_sequences, write
from test_bad_input import check_told, flag, refused, replaced, resealed, tree

import seqlm_core as seqlm
from seqlm_core.settings.fields import setting_types
from seqlm_core.settings.settings import SequenceSettings

FIELDS = dataclasses.fields(SequenceSettings)
TYPES = setting_types(SequenceSettings)
TEXT = as_text(toy_sequences(30))
EXAMPLES = [([row[0] for row in rows], [row[2] for row in rows]) for rows in toy_sequences(30)]
SMALL = {"hidden_size": 8, "batch_size": 8, "max_steps": 4, "log_every": 0}


def train(examples, out, inputs="tokens", outputs="labels", validation=None, init_from=None, **settings):
    model = seqlm.SequenceModel(inputs, outputs, **{**SMALL, **settings})
    return model.train(examples, validation, out=out, init_from=init_from, quiet=True)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    out = tmp_path_factory.mktemp("tagger") / "run"
    return train(EXAMPLES, out, char_cell="gru", char_hidden_size=4, dropout=0.2)


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    """A run that maps values of three channels to values of two."""
    values = [np.random.default_rng(seed).normal(size=(5, 3)) for seed in range(6)]
    return train([(v, v[:, :2]) for v in values], tmp_path_factory.mktemp("values") / "run", "values", "values")


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "good.tsv", TEXT)


@pytest.fixture
def out(tmp_path):
    """Where a refused run must not appear."""
    path = tmp_path / "out"
    yield path
    assert not path.exists()


@pytest.fixture
def copied(tagger, tmp_path):
    """A copy of a run, to be damaged."""
    return shutil.copytree(tagger.path, tmp_path / "copied")


# Files

BAD_FILES = {
    "missing": (None, ["no such file"]),
    "directory": ("directory", ["is a directory"]),
    "pipe": ("pipe", ["not a regular file", "into -"]),
    "empty": (b"", ["is empty"]),
    "blank lines": (b"\n \n\t\r\n", ["no sequences", "blank lines"]),
    "byte-order mark only": (b"\xef\xbb\xbf", ["no sequences"]),
    "not UTF-8": (b"a O\ncaf\xe9 B\n", ["not utf-8", "byte 7 ", "--encoding"]),
    "NUL bytes": (b"a O\n\0 B\n", ["NUL", "not a text file"]),
    "ragged": (b"a O\nb B\n\nc X O\n", ["line 4 has 3 columns", "line 1 has 2"]),
    "ragged, one column": (b"a O\n\nb\n", ["line 3 has 1 column", "line 1 has 2"]),
    "empty column": (b"a\tO\n\tB\n", ["line 2", "empty column 1"]),
    "tab at an end": (b"a\tO\t\n", ["line 1", "empty column 3"]),
    "tab among spaces": (b"a O\nb B\t\n", ["line 2 has a tab", "line 1 has none"]),
}


def make_file(path, content):
    if content == "directory":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    elif content is not None:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_lost(kind, capsys, tmp_path, good, copied, out):
    content, words = BAD_FILES[kind]
    path = make_file(tmp_path / "bad", content)
    words = [path, *words]
    before = tree(copied)
    refused(capsys, 1, words, "tag", "train", good, path, *TINY, "--out", copied, "--overwrite")
    refused(capsys, 1, words, "tag", "train", good, "--validation", path, *TINY, "--out", out)
    refused(capsys, 1, words, "tag", "evaluate", copied, good, path)
    code, _, err = run_cli(capsys, "tag", "apply", copied, path)
    check_told(err, *words)
    assert code == 1
    assert tree(copied) == before


@pytest.mark.parametrize("given", [["train"], ["apply", "RUN"], ["evaluate", "RUN"]], ids=lambda given: given[0])
@pytest.mark.parametrize(
    ("text", "words"), [("", ["input is empty"]), ("a b\nc\n", ["standard-input.txt, line 2 has"])]
)
def test_standard_input_that_cannot_be_used_is_named(text, words, given, capsys, monkeypatch, tmp_path, tagger):
    monkeypatch.chdir(tmp_path)
    give_standard_input(monkeypatch, text)
    refused(capsys, 1, words, "tag", *[tagger.path if part == "RUN" else part for part in given], "-")
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a O\nb O\n\nc O\n", ["'O'", "only label", "nothing to learn"]),
        ("a\nb\n", ["--label-column", "1 column", "token column too"]),
    ],
)
def test_a_file_that_nothing_can_be_learnt_from_is_a_usage_error(text, words, capsys, tmp_path, out):
    refused(capsys, 2, words, "tag", "train", write(tmp_path / "file", text), *TINY, "--out", out)


@pytest.mark.parametrize(
    ("option", "word"), [("0", "must not be 0"), ("3", "2 columns"), ("-3", "2 columns"), ("x", "x"), ("1.5", "1.5")]
)
@pytest.mark.parametrize("which", ["--token-column", "--label-column"])
def test_a_column_that_is_not_there_is_a_usage_error(which, option, word, capsys, good, tagger, out):
    refused(capsys, 2, [which, word], "tag", "train", good, *TINY, f"{which}={option}", "--out", out)
    refused(capsys, 2, [which, word], "tag", "evaluate", tagger.path, good, f"{which}={option}")
    if which == "--token-column":
        refused(capsys, 2, [which, word], "tag", "apply", tagger.path, good, f"{which}={option}")


def test_labels_that_the_run_knows_none_of_are_no_evaluation(capsys, tmp_path, tagger, out):
    path = write(tmp_path / "file", "a X\nb Y\n")
    words = ["nothing to evaluate on", "label of the training"]
    refused(capsys, 2, words, "tag", "evaluate", tagger.path, path)
    refused(capsys, 2, ["labels", "earlier run"], "tag", "train", path, "--init-from", tagger.path, "--out", out)


def test_a_validation_part_that_cannot_be_used_is_told(capsys, tmp_path, good):
    path = write(tmp_path / "file", "a X\nb Y\n")
    _, told = done(capsys, "tag", "train", good, *TINY[:-1], "--validation", path, "--out", tmp_path / "run")
    assert "nothing of the validation part counts" in told


# fmt: off
LEGAL = {
    "one sequence": ("a O\nb B\n", []),
    "one token each": ("a O\n\nb B\n", []),
    "all tokens unique": ("".join(f"t{i} {i % 2}\n\n" for i in range(40)), []),
    "as many labels as tokens": ("".join(f"t{i} l{i}\n\n" for i in range(1000)), ["--validation-fraction", "0"]),
    "tokens of 10,000 characters": (f"{'x' * 10_000} A\n{'y' * 10_000} B\n", ["--char-cell", "gru"]),
    "5,000 tokens": ("a O\nb B\n" * 2500, ["--max-steps", "1"]),
    "white space as tokens": ("\u3000\tA\n \tB\n\xa0\tA\n  \tB\n", []),
    "labels with spaces": ("a\tnoun phrase\nb\tO \n", []),
    "the name of unknown tokens": ("<unk> O\n<unk> B\na B\n", ["--min-count", "1", "--char-cell", "lstm"]),
    "hardly anything to train on": (TEXT, ["--validation-fraction", "0.9"]),
    "larger batches than there is data": (TEXT, ["--batch-size", "5000"]),
    "no two sequences of one length": ("\n".join("a O\nb B\n" * n for n in range(1, 15)), []),
}
# fmt: on


@pytest.mark.parametrize("kind", LEGAL)
def test_odd_but_legal_files_are_learnt_from_and_labelled(kind, capsys, tmp_path):
    text, options = LEGAL[kind]
    path, run = write(tmp_path / "file", text), tmp_path / "run"
    done(capsys, "tag", "train", path, *TINY, *options, "--out", run)
    printed, told = done(capsys, "tag", "apply", run, path)
    assert told == ""
    lines = text.rstrip("\n").split("\n")
    assert [line[: len(old)] for line, old in zip(printed.split("\n"), lines)] == lines
    values = json.loads(done(capsys, "tag", "evaluate", run, path, "--json")[0])
    assert values["predictions"] == sum(map(bool, text.split("\n")))


# Settings

OUT_OF_RANGE = [
    (field.name, value)
    for field in FIELDS
    for limit, values in {
        "minimum": lambda n: [n - 1],
        "maximum": lambda n: [n + 1],
        "above": lambda n: [n, n - 1],
        "below": lambda n: [n],
        "choices": lambda _: ["nonsense", ""],
    }.items()
    if limit in field.metadata
    for value in values(field.metadata[limit])
]
WRONG = {
    int: ["many", "1.5", "nan"],
    float: ["many", "nan", "-inf"],
    str: ["", "nonsense"],
    dict: ["size", "no_such=3"],
}
PATHS = ("tensorboard",)
"""Settings that are paths, for which any text will do."""
ILL_TYPED = [(name, value) for name, kind in TYPES.items() if name not in PATHS for value in WRONG.get(kind, [])]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE + ILL_TYPED)
def test_a_setting_out_of_its_range_or_type_is_a_usage_error(name, value, capsys, good, out):
    char_cell = ["--char-cell", "gru"] if name == "char_cell_options" else []
    words = [flag(name).replace("-option", "").strip("-").split("-")[-1]]
    refused(capsys, 2, words, "tag", "train", good, *char_cell, f"{flag(name)}={value}", "--out", out)


# fmt: off
USAGE_ERRORS = {
    "--cell lsmt": ["no cell 'lsmt'", "did you mean 'lstm'?"],
    "--char-cell lsmt": ["no cell 'lsmt'", "did you mean 'lstm'?"],
    "--char-cell gru --char-cell-option forget_bias=1": ["cell", "'gru'", "forget_bias"],
    "--char-cell-option forget_bias=1": ["--char-cell-option", "none is chosen"],
    "--char-hidden-size 8": ["--char-hidden-size", "none is chosen"],
    "--encoding klingon": ["--encoding", "'klingon'"],
    "--device tpu": ["--device", "gpu:N"],
    "--hidden-size 1000000000": ["--hidden-size", "at most"],
    "--hidden-size 8,x": ["--hidden-size", "'8,x'", "neither a whole number nor several"],
    "--hidden-size 8,4 --layers 3": ["--hidden-size has 2 sizes, and --layers is 3"],
    "--tokenizer word": ["--tokenizer"],
    "--sequence-length 9": ["--sequence-length"],
    "--validation": ["--validation", "argument"],
    "- -": ["standard input", "only once"],
    "- --validation -": ["standard input", "only once"],
}
# fmt: on


@pytest.mark.parametrize("given", USAGE_ERRORS)
def test_a_training_that_is_asked_for_wrongly_is_a_usage_error(given, capsys, good, out):
    refused(capsys, 2, USAGE_ERRORS[given], "tag", "train", good, *TINY, "--out", out, *given.split(" "))


def test_a_gpu_that_is_not_there_is_told_with_the_way_out(capsys, monkeypatch, good, out):
    from seqlm_core.engine.mxnet import mx

    monkeypatch.setattr(mx.context, "num_gpus", lambda: 0)
    words = ["gpu is not there", "--device cpu"]
    refused(capsys, 1, words, "tag", "train", good, *TINY, "--device", "gpu", "--out", out)


def test_a_disk_without_room_for_the_sequences_is_told(capsys, monkeypatch, good, out):
    def full(source, destination):
        raise OSError(errno.ENOSPC, "No space left on device", source)

    monkeypatch.setattr("shutil.move", full)
    words = [f"{out}/training-examples.jsonl cannot be written: No space"]
    refused(capsys, 1, words, "tag", "train", good, *TINY, "--out", out)


def test_without_a_file_the_training_says_what_it_needs(capsys, out):
    refused(capsys, 2, ["name a file", "standard input"], "tag", "train", *TINY, "--out", out)


@pytest.mark.parametrize(
    "given", ["file", "--out x", "--out ", "--overwrite", "--validation x", "--validation ", "--init-from x",
              "--token-column 1", "--label-column -1", "--encoding utf-8"]
)  # fmt: skip
def test_resuming_takes_no_other_sequences_or_places(given, capsys, copied):
    before = tree(copied)
    refused(capsys, 2, ["--resume"], "tag", "train", "--resume", copied, *given.split(" "))
    assert tree(copied) == before


def test_sizes_that_differ_from_the_run_to_begin_from_are_named(capsys, good, tagger, out):
    for option, value in [("--hidden-size", 9), ("--cell", "gru"), ("--char-cell", "lstm"), ("--min-count", 1)]:
        given = [option, value, "--init-from", tagger.path, "--out", out]
        refused(capsys, 2, [option, f"cannot be {value!r}"], "tag", "train", good, *given)


# Runs


def test_runs_of_another_kind_are_refused(capsys, good, trained, tagger, forecaster):
    language_model = trained(cell="gru").path
    for given in (
        ["apply", language_model, good],
        ["evaluate", language_model, good],
        ["train", "--resume", language_model],
    ):
        refused(capsys, 1, [language_model, "language model", "not a sequence model"], "tag", *given)
    for given in (["sample", tagger.path], ["evaluate", tagger.path, good], ["train", "--resume", tagger.path]):
        refused(capsys, 1, [tagger.path, "sequence model", "not a language model"], *given)
    for given in ("apply", "evaluate"):
        refused(capsys, 2, [forecaster.path, "maps values to values"], "tag", given, forecaster.path, good)
        refused(capsys, 1, ["nowhere", "does not exist"], "tag", given, "nowhere", good)
    for earlier in (language_model, forecaster.path):
        refused(capsys, 1 if earlier == language_model else 2, [earlier], "tag", "train", good, "--init-from", earlier)


def swapped(path):
    """Put the file of another run in the place of one."""
    other = train([(["x", "y"], ["O", "Q"])] * 3, path.parent.parent / "other", max_steps=2)
    shutil.copy(other.path / path.name, path)


def linked(path):
    path.rename(path.parent.parent / "moved")
    path.symlink_to(path.parent.parent / "moved")


def cut(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


HOW = {"missing": os.unlink, "cut": replaced(cut), "altered": replaced(flipped), "linked": linked, "swapped": swapped}
NEEDED = {  # by resume, and by the other commands
    "config.json": (True, True),
    "encoders.json": (True, True),
    "best.safetensors": (False, True),
    "last.safetensors": (True, False),
    "training-examples.jsonl": (True, False),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", NEEDED)
def test_a_damaged_run_is_told_and_left_as_it_is(name, how, capsys, copied, good):
    HOW[how](copied / name)
    before = tree(copied)
    by_resume, by_others = NEEDED[name]
    if (name, how) == ("best.safetensors", "missing"):
        by_others = False  # the last weights are used
    commands = {("train", "--resume", copied): by_resume, ("apply", copied, good): by_others}
    for command, needed in {**commands, ("evaluate", copied, good): by_others}.items():
        if needed:
            refused(capsys, 1, [copied], "tag", *command)
        else:
            done(capsys, "tag", *command)
    assert tree(copied) == before


@pytest.mark.parametrize("part", ["settings", "architecture", "plugins", "texts", "task"])
def test_a_configuration_without_a_part_is_damaged(part, capsys, copied, good):
    resealed(lambda config: config.pop(part))(copied / "config.json")
    refused(capsys, 1, ["config.json is damaged", repr(part)], "tag", "apply", copied, good)
