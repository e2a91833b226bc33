"""Texts without end: ``seqlm sample`` and ``seqlm infill`` print them as they come, in the same memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc

import pytest
from test_infill_command import run_command

from seqlm_core.command_line import sample
from seqlm_core.command_line.main import main
from seqlm_core.generation import text_generator

CELL = {"cell": "gru"}
WORDS = {"cell": "gru", "tokenizer": "word", "embedding_size": 8}


def memory_of(monkeypatch, *arguments):
    """Return how many bytes are in use at most while a command prints."""
    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        tracemalloc.start()
        try:
            with pytest.raises(SystemExit) as end:
                main([str(argument) for argument in arguments])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert not end.value.code
    return peak


@pytest.mark.parametrize(
    ("settings", "native", "varied", "number", "options"),
    [
        (CELL, "1", "--length", 10_000, []),
        (CELL, "1", "--length", 6_000, ["--stream", "--stop", "qqqq", "--repetition-penalty", 1.1]),
        (CELL, "1", "--length", 4_000, ["--json"]),
        (CELL, "1", "--length", 2_000, ["--count", 2, "--json"]),
        (WORDS, "1", "--length", 8_000, ["--temperature", 1]),
        (CELL, "0", "--length", 4_000, ["--stop", "qqqq"]),
        (CELL, "1", "--count", 400, ["--length", 10]),
        (CELL, "0", "--count", 400, ["--length", 10, "--json", "--stop", "qqqq"]),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value),
)
def test_more_text_takes_no_more_memory(monkeypatch, trained, settings, native, varied, number, options):
    monkeypatch.setenv("SEQLM_NATIVE", native)
    monkeypatch.setattr(text_generator, "MOST_TOKENS", 1_000)
    monkeypatch.setattr(text_generator, "MOST_TEXTS", 4)
    monkeypatch.setattr(sample, "KEPT_IN_MEMORY", 1_000)
    command = ["sample", trained(**settings).path, "--seed", 1, *options, varied]
    memory_of(monkeypatch, *command, 8)  # what is loaded once
    assert memory_of(monkeypatch, *command, number) < memory_of(monkeypatch, *command, number // 20) + 150_000


def test_more_fillings_take_no_more_memory(monkeypatch, trained):
    command = ["infill", trained(cell="bigru").path, "a_", "--temperature", 1, "--seed", 1, "--sweeps", 1, "--count"]
    memory_of(monkeypatch, *command, 1)
    assert memory_of(monkeypatch, *command, 400) < memory_of(monkeypatch, *command, 40) + 150_000


@pytest.mark.parametrize(("command", "enough"), [("sample", 20_000), ("infill", 500)])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_output_without_end_is_there_at_once_and_ends_quietly_with_its_reader(trained, command, enough, options):
    program = [sys.executable, "-m", "seqlm_core.command_line.main", command, trained(cell="bigru").path]
    program += ["--length", 10**12, "--count", 10**9] if command == "sample" else ["a_", "--count", 10**9]
    program += ["--temperature", 1, *options]
    with subprocess.Popen(list(map(str, program)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        read = process.stdout.read(enough)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1
    assert len(read) == enough


def test_json_that_is_written_in_pieces_is_what_json_would_write(capsys, monkeypatch, trained):
    run, options = trained(**CELL), ["--prompt", "The ", "--length", 300, "--seed", 3, "--stop", "zz", "--json"]
    expected = [text.to_json() for text in run.generate("The ", count=3, length=300, stop="zz", seed=3)]
    monkeypatch.setattr(sample, "KEPT_IN_MEMORY", 1_000)
    for most_tokens in (1 << 20, 1):  # side by side, and one by one in pieces
        monkeypatch.setattr(text_generator, "MOST_TOKENS", most_tokens)
        printed, _ = run_command(capsys, "sample", run.path, *options, "--count", 3)
        answer = {"prompt": "The ", "seed": 3, "samples": expected}
        assert printed == json.dumps(answer, indent=2) + "\n"
    printed, _ = run_command(capsys, "sample", run.path, "--length", 0, "--seed", 3, "--json")
    assert printed == json.dumps(json.loads(printed), indent=2) + "\n"


def test_no_room_for_the_tokens_of_a_long_text_is_told_with_its_folder(capsys, monkeypatch, trained):
    path = trained(**CELL).path
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "w+b"))  # noqa: SIM115
    monkeypatch.setattr(sample, "KEPT_IN_MEMORY", 100)
    _, told = run_command(capsys, "sample", path, "--length", 5_000, "--json", code=1)
    assert told.startswith("seqlm: error: temporary files go to ")
    assert told.endswith("No space left on device; make room there, or name another folder by TMPDIR\n")


def test_a_text_does_not_depend_on_how_many_are_drawn_side_by_side(monkeypatch, trained):
    run = trained(**CELL)
    found = []
    for most in (1, 2, 3, 64):
        monkeypatch.setattr(text_generator, "MOST_TEXTS", most)
        found.append(run.generate("The ", count=5, length=100, temperature=1.0, stop="z", seed=2))
    assert all(text.tokens == [*other.tokens] for other_found in found for text, other in zip(found[0], other_found))
    assert [text.text for text in found[0]] == [text.text for text in found[-1]]
    assert len({text.text for text in found[0]}) == 5


BEYOND = str(2**63)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["sample", "--length", BEYOND], "--length must be below 2**63"),
        (["sample", "--count", BEYOND], "--count must be below 2**63"),
        (["sample", "--top-k", BEYOND], "--top-k must be below 2**63"),
        (["sample", "--seed", BEYOND], "--seed must be below 2**63"),
        (["sample", "--beam", "1000000"], "--beam must be at most 1000, not 1000000"),
        (["sample", "--beam", "5", "--length", "10001"], "--length must be at most 10000 with a beam"),
        (["infill", "a_", "--count", "1001"], "--count must be at most 1000 at temperature 0"),
        (["infill", "a_", "--count", BEYOND, "--temperature", "1"], "--count must be below 2**63"),
        (["infill", "a_", "--sweeps", "1001"], "--sweeps must be at most 1000"),
        (["infill", "a_", "--seed", BEYOND], "--seed must be below 2**63"),
    ],
)
def test_what_is_beyond_all_bounds_is_refused_with_the_bound(capsys, trained, command, told):
    printed, error = run_command(capsys, command[0], trained(cell="bigru").path, *command[1:], code=2)
    assert printed == ""
    assert error.startswith(f"seqlm: error: {told}")
