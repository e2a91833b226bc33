"""``seqlm evaluate`` and ``seqlm score`` with ``--adapt`` and ``--cache``."""

from __future__ import annotations

import json

import pytest
from test_bad_input import refused
from test_commands import run_command


@pytest.fixture(scope="module")
def text(short_text, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(short_text.read_text()[:400])
    return path


OPTIONS = {
    "--adapt": ["adapt", "adapt_learning_rate", "adapt_decay", "adapt_window"],
    "--cache=50": ["cache", "cache_weight", "cache_flatness"],
}


@pytest.mark.parametrize("given", [["--adapt"], ["--cache=50"], ["--adapt", "--cache=50"]])
def test_the_output_says_what_the_model_learnt_while_reading(capsys, trained, text, given):
    run = trained(cell="lstm")
    names = {name for option in given for name in OPTIONS[option]}
    plain, _ = run_command(capsys, "evaluate", run.path, text)
    printed, _ = run_command(capsys, "evaluate", run.path, text, *given)
    assert "while reading" not in plain
    assert ("adapted (learning rate" in printed, "a cache of 50 tokens" in printed) == (
        "--adapt" in given,
        "--cache=50" in given,
    )
    assert printed.splitlines()[2] != plain.splitlines()[1]  # nats per token
    answer = json.loads(run_command(capsys, "evaluate", run.path, text, *given, "--json")[0])
    assert set(answer["reading_rules"]) == names
    assert "reading_rules" not in json.loads(run_command(capsys, "evaluate", run.path, text, "--json")[0])
    shown, told = run_command(capsys, "score", run.path, text, *given)
    assert "seqlm: while reading: " in told
    assert shown != run_command(capsys, "score", run.path, text)[0]
    lines = run_command(capsys, "score", run.path, text, *given, "--json")[0].splitlines()
    assert all(set(json.loads(line)["reading_rules"]) == names for line in lines)


def test_options_reach_the_rules(capsys, trained, text):
    options = ["--adapt", "--adapt-learning-rate=0.01", "--adapt-decay=0", "--adapt-window=7"]
    options += ["--cache=9", "--cache-weight=0.25", "--cache-flatness=2"]
    answer = json.loads(run_command(capsys, "evaluate", trained(cell="lstm").path, text, *options, "--json")[0])
    assert list(answer["reading_rules"].values()) == [True, 0.01, 0, 7, 9, 0.25, 2]


@pytest.mark.parametrize(
    ("cell", "options", "told"),
    [
        ("bigru", ["--adapt"], "--adapt is for models that read from the left only"),
        ("bigru", ["--cache", "5"], "--cache is for models that read from the left only"),
        ("lstm", ["--cache", "99999999999999"], "--cache of 99,999,999,999,999 tokens takes"),
        ("lstm", ["--cache", "-1"], "--cache must be at least 0"),
        ("lstm", ["--cache", "5", "--cache-weight", "1"], "--cache-weight must be below 1"),
        ("lstm", ["--cache-flatness", "1"], "--cache-flatness has no use without --cache"),
        ("lstm", ["--adapt", "--adapt-learning-rate", "0"], "--adapt-learning-rate must be at least 1e-09"),
        ("lstm", ["--adapt-learning-rate", "0.1"], "--adapt-learning-rate has no use without --adapt"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "score"])
def test_what_cannot_be_done_is_told_in_a_line(capsys, trained, text, command, cell, options, told):
    refused(capsys, 2, [told], command, trained(cell=cell).path, text, *options)
