"""``seqlm infill`` as a user types it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import pytest

from seqlm_core.command_line.main import main


def run_command(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert exit_.value.code == code, captured.err
    return captured.out, captured.err


def test_the_text_is_printed_and_then_each_gap_with_its_probability(capsys, trained):
    run = trained(cell="bigru")
    printed, told = run_command(capsys, "infill", run.path, "The b_y and __.")
    (item,) = run.infill("The b_y and __.")
    lines = printed.splitlines()
    assert lines[0] == item.text
    assert lines[1:] == [f"  {f.text!r}  {math.exp(f.log_probability):.4f}" for f in item.fillings]
    assert len(lines) == 3
    assert told == ""


def test_several_fillings_are_numbered(capsys, trained):
    printed, _ = run_command(capsys, "infill", trained(cell="bigru").path, "The b_y", "--count", "3")
    assert re.findall(r"^--- (\d) of 3 ---\nThe b.y$", printed, re.MULTILINE) == ["1", "2", "3"]


def test_json_has_the_texts_and_can_be_repeated(capsys, trained):
    run = trained(cell="bigru")
    options = ["--temperature", "1", "--count", "2", "--gap", "2", "--mark", "##", "--sweeps", "2", "--json"]
    first = json.loads(run_command(capsys, "infill", run.path, "The ## b", *options)[0])
    assert set(first) == {"text", "seed", "infilled"}
    assert first["text"] == "The ## b"
    again = json.loads(run_command(capsys, "infill", run.path, "The ## b", *options, "--seed", first["seed"])[0])
    assert again == first
    called = run.infill("The ## b", gap=2, mark="##", count=2, sweeps=2, temperature=1.0, seed=first["seed"])
    assert first["infilled"] == [item.to_json() for item in called]
    filling = first["infilled"][0]["fillings"][0]
    assert set(filling) == {"text", "tokens", "log_probability", "token_log_probabilities"}
    assert len(filling["tokens"]) == 2


@pytest.mark.parametrize(
    ("cell", "arguments", "code", "message"),
    [
        ("gru", ["a_b"], 1, r"cell 'gru', which reads from the left only; .* b\w+, b\w+, b\w+"),
        ("bigru", ["ab"], 2, "the text has no gap: the mark '_' is not in it"),
        ("bigru", ["a_b", "--mark", ""], 2, "--mark must not be empty"),
        ("bigru", ["a_b", "--gap", "0"], 2, "--gap must be at least 1, not 0"),
        ("bigru", ["a_b", "--gap", "99999999999999999999"], 2, "--gap must be at most 1000, not 99999999999999"),
        ("bigru", ["a_b", "--count", "0"], 2, "--count must be at least 1, not 0"),
        ("bigru", ["a_b", "--sweeps", "-1"], 2, "--sweeps must be at least 0, not -1"),
        ("bigru", ["a_b", "--temperature", "-1"], 2, "--temperature must be"),
        ("bigru", ["a_b", "--seed", "-1"], 2, "--seed must be"),
    ],
)
def test_mistakes_are_told_in_a_line(capsys, trained, cell, arguments, code, message):
    printed, told = run_command(capsys, "infill", trained(cell=cell).path, *arguments, code=code)
    assert printed == ""
    assert re.fullmatch(f"seqlm: error: .*{message}.*\n", told)


def test_mxnet_is_not_imported(trained):
    code = (
        "import sys; from seqlm_core.command_line.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert 'mxnet' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "infill", str(trained(cell="bigru").path), "a__b"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
