"""What a user can get wrong: a line or two on standard error, the right exit code, nothing lost, no traceback."""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqlm_core.command_line.main import main
from seqlm_core.settings.fields import setting_types
from seqlm_core.settings.settings import LanguageSettings
from seqlm_core.storage.files import read_json, write_json

TINY = ["--hidden-size", "8", "--max-steps", "5", "--sequence-length", "10", "--batch-size", "4", "--quiet"]
COMMAND = [sys.executable, "-m", "seqlm_core.command_line.main"]
FIELDS = dataclasses.fields(LanguageSettings)
TYPES = setting_types(LanguageSettings)


@pytest.fixture(autouse=True)
def _logging_as_before():
    logger = logging.getLogger("seqlm")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, level, logger.propagate = before
    logger.setLevel(level)


def run_cli(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return (exit_.value.code, *capsys.readouterr())


def check_told(err, *words):
    """A line or two, not overlong, besides warnings; with the words that matter."""
    lines = [line for line in err.splitlines() if not line.startswith("seqlm: warning: ")]
    assert 1 <= len(lines) <= 2, err
    assert lines[0].startswith("seqlm: error: "), err
    assert "Traceback" not in err
    for word in words:
        assert str(word) in err


def refused(capsys, code, words, *arguments):
    found, out, err = run_cli(capsys, *arguments)
    check_told(err, *words)
    assert (found, out) == (code, "")
    return err


def tree(path):
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in sorted(path.rglob("*"))}


def flag(name):
    return "--" + name.replace("_", "-").replace("-options", "-option")


@pytest.fixture
def out(tmp_path):
    """Where a refused run must not appear."""
    path = tmp_path / "out"
    yield path
    assert not path.exists()


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of a run, to be damaged."""
    return shutil.copytree(trained(cell="gru").path, tmp_path / "copied")


# Texts

TEXTS = {
    "missing": (None, ["no such file"]),
    "empty folder": ("directory", ["holds no text"]),
    "empty": (b"", ["is empty"]),
    "byte-order mark only": (b"\xef\xbb\xbf", ["holds no text"]),
    "not UTF-8": (b"caf\xe9 au lait" * 20, ["not utf-8", "byte 3 ", "--encoding"]),
    "NUL bytes": (b"\x7fELF\0\0\0" * 20, ["NUL", "character 4", "not a text file"]),
    "one symbol": (b"a" * 3000, ["'a'", "nothing to learn"]),
    "shorter than a window": (b"to be", ["window", "--sequence-length"]),
}


def make_text(tmp_path, content):
    path = tmp_path / "text.txt"
    if content == "directory":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_cannot_be_learnt_from_is_named_and_nothing_is_lost(text, capsys, tmp_path, copied, out):
    content, words = TEXTS[text]
    path = make_text(tmp_path, content)
    before = tree(copied)
    refused(capsys, 1, words, "train", path, *TINY, "--out", copied, "--overwrite")
    assert tree(copied) == before
    refused(capsys, 1, [path, *words], "train", path, *TINY, "--out", out)


@pytest.mark.parametrize("text", [t for t in TEXTS if t not in ("one symbol", "shorter than a window")] + ["short"])
def test_a_text_that_cannot_be_evaluated_or_validated_on_is_named(text, capsys, tmp_path, trained, short_text, out):
    content, words = TEXTS.get(text, (b"x", ["at least 2"]))
    path = make_text(tmp_path, content)
    refused(capsys, 1, [path, *words], "evaluate", trained(cell="gru").path, path)
    refused(capsys, 1, [path, *words], "train", short_text, *TINY, "--validation", path, "--out", out)


def test_a_refused_text_leaves_nothing_in_the_default_place(capsys, tmp_path, monkeypatch):
    path = make_text(tmp_path, b"to be")
    monkeypatch.chdir(tmp_path)
    refused(capsys, 1, ["window"], "train", path, *TINY)
    assert not list(tmp_path.rglob("config.json"))


def test_a_validation_part_that_takes_the_whole_text_is_what_is_told(capsys, short_text, out):
    given = ["--validation-fraction", "0.99999"]
    refused(capsys, 1, given[:1], "train", short_text, *TINY, *given, "--out", out)


def test_a_file_name_that_is_not_utf8_is_no_fault(capsys, tmp_path, short_text):
    path = tmp_path / os.fsdecode(b"t\xff.txt")
    shutil.copy(short_text, path)
    assert run_cli(capsys, "train", path, *TINY, "--out", tmp_path / "run")[0] == 0


def test_lone_surrogates_are_no_text(capsys, tmp_path, out):
    path = make_text(tmp_path, b"ab+2AA-xx" * 99)
    refused(capsys, 1, [path, "--encoding"], "train", path, *TINY, "--encoding", "utf-7", "--out", out)


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", ""])
def test_what_is_no_text_encoding_is_refused_by_evaluate_too(encoding, capsys, short_text, trained):
    words = ["--encoding", repr(encoding)]
    refused(capsys, 2, words, "evaluate", trained(cell="gru").path, short_text, "--encoding", encoding)


def test_empty_standard_input_is_told(capsys, monkeypatch, out):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    refused(capsys, 1, ["standard input is empty"], "train", "-", *TINY, "--out", out)


# Settings

OUT_OF_RANGE = [
    (field.name, value)
    for field in FIELDS
    for limit, values in {
        "minimum": lambda n: [n - 1, -(10**30)],
        "maximum": lambda n: [n + 1],
        "above": lambda n: [n, n - 1],
        "below": lambda n: [n, n + 1, 10**30],
        "choices": lambda _: ["nonsense", ""],
    }.items()
    if limit in field.metadata
    for value in values(field.metadata[limit])
]
PATHS = ("tensorboard",)
"""Settings that are paths, for which any text will do."""
ILL_TYPED = [
    (name, value)
    for name, kind in TYPES.items()
    for value in {
        int: ["many", "1.5", "", "nan"],
        float: ["many", "", "nan", "inf", "-inf", "1e-320", "1e-31"],
    }.get(kind, [])
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE + ILL_TYPED)
def test_a_setting_out_of_its_range_or_type_is_a_usage_error(name, value, capsys, short_text, out):
    refused(capsys, 2, [flag(name)], "train", short_text, f"{flag(name)}={value}", "--out", out)


def test_every_number_has_a_lower_limit():
    for field in FIELDS:
        if TYPES[field.name] in (int, float):
            assert {"minimum", "above"} & set(field.metadata), field.name


@pytest.mark.parametrize("name", [name for name, kind in TYPES.items() if kind is str and name not in PATHS])
@pytest.mark.parametrize("value", ["", "nonsense"])
def test_a_name_that_does_not_exist_is_a_usage_error(name, value, capsys, short_text, out):
    refused(
        capsys, 2, [name.replace("_", "-"), f"'{value}'"], "train", short_text, *TINY, flag(name), value, "--out", out
    )


@pytest.mark.parametrize("kind", ["cell", "tokenizer", "optimizer"])
@pytest.mark.parametrize("value", ["size", "=3", "", "a-b=1 a_b=2", "no_such=3"])
def test_a_plugin_option_that_is_malformed_or_unknown_is_a_usage_error(kind, value, capsys, short_text, out):
    given = [part for text in value.split(" ") for part in (f"--{kind}-option", text)]
    words = [kind, {"a-b=1 a_b=2": "twice", "no_such=3": "'no_such'"}.get(value, "NAME=VALUE")]
    refused(capsys, 2, words, "train", short_text, *TINY, *given, "--out", out)


# fmt: off
USAGE_ERRORS = {
    "--cell lsmt": ["no cell 'lsmt'", "did you mean 'lstm'?", "there are: "],
    "--tokenizer words": ["no tokenizer 'words'", "did you mean 'word'?", "there are: "],
    "--optimizer Adm": ["no optimizer 'Adm'", "did you mean 'adam'?", "there are: "],
    "--cell-option forget_bias=much": ["cell", "'lstm'", "must be a number", "'much'"],
    "--cell-option forget_bias=nan": ["cell", "'lstm'", "must be a number"],
    "--cell-option forget_bais=1": ["cell", "'lstm'", "did you mean 'forget_bias'?"],
    "--cell rnn --cell-option activation=sin": ["cell", "'rnn'", "tanh, relu", "'sin'"],
    "--optimizer sgd --optimizer-option nesterov=perhaps": ["optimizer", "'sgd'", "true or false", "'perhaps'"],
    "--optimizer-option beta1=7": ["optimizer", "'adam'", "beta1", "below 1"],
    "--optimizer-option epsilon=-1": ["optimizer", "'adam'", "epsilon", "above 0"],
    **{f"--encoding {name}": ["--encoding", f"'{name}'"] for name in ("klingon", "hex", "rot13", "base64")},
    **{f"--device {name}": ["--device", "gpu:N"] for name in ("tpu", "gpu:", "gpu:-1", "gpu:x", "GPU", "cpu:0")},
    "--tie-weights --embedding-size 0": ["--tie-weights needs embeddings", "--embedding-size 0"],
    "--hidden-size 8,x": ["--hidden-size", "'8,x'", "neither a whole number nor several"],
    "--hidden-size 8,": ["--hidden-size", "'8,'", "neither a whole number nor several"],
    "--hidden-size 8.5,4": ["--hidden-size", "'8.5,4'", "neither a whole number nor several"],
    "--hidden-size 8,-4": ["--hidden-size must be at least 1, not -4"],
    "--hidden-size 8,4 --layers 3": ["--hidden-size has 2 sizes, and --layers is 3; give one size for each layer"],
    "--hiden-size 3": ["--hiden-size", "--hidden-size"],
    "--validation": ["--validation", "argument"],
    "- -": ["standard input", "only once"],
    "- --validation -": ["standard input", "only once"],
}
# fmt: on


@pytest.mark.parametrize("given", USAGE_ERRORS)
def test_a_training_that_is_asked_for_wrongly_is_a_usage_error(given, capsys, short_text, out):
    refused(capsys, 2, USAGE_ERRORS[given], "train", short_text, *TINY, "--out", out, *given.split(" "))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--hidden-size", "1000000000"),
        ("--embedding-size", "100000000000000000000"),
        ("--learning-rate", "1e300"),
        ("--clip-norm", "1e-320"),
        ("--optimizer-option", "weight_decay=1e300"),
    ],
)
def test_numbers_beyond_what_can_be_computed_are_told_without_a_half_made_run(option, value, capsys, short_text, out):
    code, printed, err = run_cli(capsys, "train", short_text, *TINY, option, value, "--out", out)
    check_told(err)
    assert code in (1, 2)
    assert printed == ""


@pytest.mark.parametrize("device", ["gpu", "gpu:3"])
def test_a_gpu_that_is_not_there_is_told_with_the_way_out(device, capsys, monkeypatch, short_text, out):
    from seqlm_core.engine.mxnet import mx

    monkeypatch.setattr(mx.context, "num_gpus", lambda: 0)
    words = [f"{device} is not there", "--device cpu"]
    refused(capsys, 1, words, "train", short_text, *TINY, "--device", device, "--out", out)


# Where the run goes


@pytest.mark.parametrize("where", ["file", "below a file", "below /proc", "dangling link"])
def test_an_out_that_cannot_be_a_directory_is_a_usage_error(where, capsys, tmp_path, short_text):
    file = tmp_path / "file"
    file.write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    place = {"file": file, "below a file": file / "run", "below /proc": "/proc/run", "dangling link": tmp_path / "link"}
    refused(capsys, 2, [f"--out {place[where]}"], "train", short_text, *TINY, "--out", place[where])
    assert file.read_text() == "mine"


def test_an_out_with_other_files_is_a_usage_error(capsys, tmp_path, short_text):
    (tmp_path / "thesis.tex").write_text("mine")
    for more in ([], ["--overwrite"]):
        words = [f"--out {tmp_path}", "other files"]
        refused(capsys, 2, words, "train", short_text, *TINY, "--out", tmp_path, *more)
        assert tree(tmp_path) == {"thesis.tex": b"mine"}


def test_an_empty_out_is_a_usage_error(capsys, tmp_path, short_text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(capsys, 2, ["--out"], "train", short_text, *TINY, "--out", "")
    assert tree(tmp_path) == {}


def test_a_run_is_not_replaced_unasked(capsys, copied, short_text):
    before = tree(copied)
    words = [f"--out {copied} holds another run, which --overwrite would", f"seqlm train --resume {copied}"]
    refused(capsys, 2, words, "train", short_text, *TINY, "--out", copied)
    assert tree(copied) == before


def test_a_damaged_run_is_not_replaced_unasked_either(capsys, copied, short_text):
    (copied / "config.json").write_text("{}")
    refused(capsys, 2, [f"--out {copied}", "--overwrite"], "train", short_text, *TINY, "--out", copied)


def test_overwriting_does_not_remove_the_text_that_is_read(capsys, copied, short_text):
    text = copied / "standard-input.txt"
    shutil.copy(short_text, text)
    before = tree(copied)
    code, _, err = run_cli(capsys, "train", text, *TINY, "--out", copied, "--overwrite")
    assert text.exists()
    if code:
        check_told(err, "standard-input.txt")
        assert tree(copied) == before


@pytest.mark.parametrize("others", ["text.txt", "--out x", "--overwrite", "--validation text.txt", "--out "])
def test_resuming_takes_no_other_places(others, capsys, copied):
    before = tree(copied)
    refused(capsys, 2, ["--resume"], "train", "--resume", copied, *others.split(" "))
    assert tree(copied) == before


def test_resuming_names_the_option_that_cannot_change(capsys, trained):
    given = ["--resume", trained(cell="lstm").path, "--cell-option", "forget_bias=2"]
    err = refused(capsys, 2, ["cannot change"], "train", *given)
    assert re.search(r"--cell-option\b(?!s)", err)


def test_resuming_with_an_option_as_it_was_is_no_change(capsys, trained):
    given = ["--resume", trained(cell="lstm").path, "--cell-option", "forget_bias=1"]
    assert run_cli(capsys, "train", *given, "--quiet")[0] == 0


# Runs


def command_on(command, run, text):
    return {"sample": ["sample", run], "evaluate": ["evaluate", run, text]}.get(
        command, ["train", "--resume", run, "--quiet"]
    )


def resealed(change):
    def edit(path):
        config = read_json(path)
        change(config)
        write_json(path, config)

    return edit


def replaced(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


CONFIG, VOCABULARY, WEIGHTS = "config.json", "vocabulary.json", "best.safetensors"
# fmt: off
DAMAGE = {
    "no directory": (CONFIG, lambda path: shutil.rmtree(path.parent), ["not a run", "does not exist"]),
    "no run": (CONFIG, Path.unlink, ["not a run", "no config.json"]),
    "config cut": (CONFIG, replaced(lambda data: data[:100]), ["damaged"]),
    "config empty": (CONFIG, replaced(lambda data: b""), ["damaged"]),
    "config a list": (CONFIG, replaced(lambda data: b"[1, 2]"), ["damaged"]),
    "config no JSON": (CONFIG, replaced(lambda data: b"\xff{"), ["damaged"]),
    "config edited": (CONFIG, replaced(lambda data: data.replace(b"gru", b"rnn")), ["altered"]),
    "config of another format": (CONFIG, resealed(lambda config: config.update(format=99)), ["format 99"]),
    "config without a part": (CONFIG, resealed(lambda config: config.pop("plugins")), ["config.json"]),
    "plugin missing": (CONFIG, resealed(lambda c: c["plugins"]["cell"].update(name="tide", distribution="sea")),
                       ["cell 'tide'", "sea"]),
    "vocabulary missing": (VOCABULARY, Path.unlink, ["vocabulary.json", "missing"]),
    "vocabulary cut": (VOCABULARY, replaced(lambda data: data[:50]), ["vocabulary.json", "damaged"]),
    "weights cut": (WEIGHTS, replaced(lambda data: data[:5000]), ["best.safetensors", "damaged"]),
    "weights empty": (WEIGHTS, replaced(lambda data: b""), ["best.safetensors", "damaged"]),
    "weights flipped": (WEIGHTS, replaced(lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]), ["digest"]),
}
# fmt: on


@pytest.mark.parametrize("command", ["sample", "evaluate", "resume"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_told_and_left_as_it_is(damage, command, capsys, copied, short_text):
    name, break_it, words = DAMAGE[damage]
    break_it(copied / name)
    before = tree(copied)
    refused(capsys, 1, words, *command_on(command, copied, short_text))
    assert tree(copied) == before


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_missing_weights_are_told(command, capsys, copied, short_text):
    for name in ("best.safetensors", "last.safetensors"):
        (copied / name).unlink()
    refused(capsys, 1, ["safetensors", "missing"], *command_on(command, copied, short_text))


def test_a_finished_run_without_its_last_checkpoint_is_not_trained_anew_in_silence(capsys, copied):
    (copied / "last.safetensors").unlink()
    before = tree(copied)
    refused(capsys, 1, ["last.safetensors", "missing"], "train", "--resume", copied, "--quiet")
    assert tree(copied) == before


@pytest.mark.parametrize("name", ["best.safetensors", "vocabulary.json", "config.json"])
@pytest.mark.parametrize("command", ["sample", "evaluate", "resume"])
def test_a_file_of_another_run_is_noticed(name, command, capsys, copied, trained, short_text):
    shutil.copy(trained(cell="rnn", max_vocabulary=20, max_steps=2, embedding_size=4).path / name, copied / name)
    refused(capsys, 1, [copied], *command_on(command, copied, short_text))


def test_a_file_is_not_a_run_and_is_not_said_to_be_missing(capsys, short_text):
    assert "does not exist" not in refused(capsys, 1, [short_text, "not a run"], "sample", short_text)


@pytest.mark.parametrize("option", ["--length", "--temperature", "--seed"])
@pytest.mark.parametrize("value", ["-1", "many", "nan", "inf", "", str(2**63)])
def test_sampling_by_a_number_out_of_range_is_a_usage_error(option, value, capsys, trained):
    if option == "--seed" or value != str(2**63):
        refused(capsys, 2, [option], "sample", trained(cell="gru").path, f"{option}={value}")


@pytest.mark.parametrize("temperature", ["1e-320", "1e300"])
def test_an_extreme_temperature_samples_without_a_word(temperature, capsys, trained):
    given = ["--length", 5, "--temperature", temperature]
    code, out, err = run_cli(capsys, "sample", trained(cell="gru").path, *given)
    assert (code, len(out), err) == (0, 6, "")


def test_unseen_characters_in_a_prompt_are_warned_of(capsys, trained):
    code, out, err = run_cli(capsys, "sample", trained(cell="gru").path, "--prompt", "Žluť", "--length", 5)
    assert (code, out[:4]) == (0, "Žluť")
    assert err.startswith("seqlm: warning: the prompt holds 'Ž'")
    assert err.count("\n") == 1


# The command line itself

NO_LIBRARY = ": cannot open shared object file: No such file or directory')"


MISTYPED = {
    "trian": ["'trian'"],
    "": ["command"],
    "--nonsense": ["--nonsense"],
    "sample": ["RUN"],
    "evaluate run": ["FILE"],
    "sample run another": ["another"],
    "plugins --cells": ["--cells"],
}


@pytest.mark.parametrize("given", MISTYPED)
def test_a_mistyped_command_line_is_a_usage_error(given, capsys):
    refused(capsys, 2, MISTYPED[given], *given.split(" "))


@pytest.mark.parametrize("given", [["sample", ""], ["evaluate", "", "x"], ["train", "--resume", ""], ["train", ""]])
def test_an_empty_path_is_told(given, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_cli(capsys, *given)
    check_told(err)
    assert code in (1, 2)
    assert tree(tmp_path) == {}


def test_no_command_at_all_prints_the_help_in_lines(capsys):
    code, out, err = run_cli(capsys)
    assert code in (0, 2)
    assert "Commands:\n" in out + err


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (f"OSError('libquadmath.so.0{NO_LIBRARY}", ["libquadmath", "apt-get install libquadmath0"]),
        (f"OSError('libfoo.so.1{NO_LIBRARY}", ["libfoo"]),
        ("ImportError('cannot import name foo')", ["MXNet", "cannot import name foo"]),
    ],
)
def test_an_mxnet_that_cannot_be_loaded_is_told(failure, words, tmp_path, short_text, out):
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet" / "__init__.py").write_text(f"raise {failure}\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [*COMMAND, "train", str(short_text), *TINY, "--out", str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    check_told(done.stderr, *words)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_reader_who_had_enough_is_no_error(trained):
    command = [*COMMAND, "sample", str(trained(cell="gru").path), "--length", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1  # as click has it


@pytest.mark.parametrize("redirect", [">/dev/full", ">&-", "2>&-", "<&-"])
@pytest.mark.parametrize("command", ["sample", "train -"])
def test_closed_and_full_streams_are_no_crash(redirect, command, trained, tmp_path):
    given = f"sample {trained(cell='gru').path}" if command == "sample" else f"train - --out {tmp_path / 'run'}"
    shell = f"exec {' '.join(COMMAND)} {given} {redirect}"
    done = subprocess.run(["bash", "-c", shell], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)
    assert not (tmp_path / "run").exists()
