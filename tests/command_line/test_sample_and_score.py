"""``seqlm sample`` with its decoding rules, and ``seqlm score``."""

from __future__ import annotations

import io
import json
import math
import tracemalloc

import numpy as np
import pytest
from test_commands import run_command

import seqlm_core as seqlm
from seqlm_core.command_line.main import main
from seqlm_core.evaluation.surprisal import TokenSurprisal, line_surprisals
from seqlm_core.generation import text_generator


@pytest.fixture(scope="module")
def run(trained):
    return trained(cell="bigru", embedding_size=8)


def sample(capsys, run, *options):
    printed, _ = run_command(capsys, "sample", run.path, *options)
    return printed


def test_the_kth_sample_does_not_depend_on_how_many_there_are(capsys, run):
    texts = {}
    for count in (1, 2, 5):
        answer = json.loads(sample(capsys, run, "--count", count, "--length", 60, "--seed", 3, "--json"))
        assert answer["seed"] == 3
        texts[count] = [sample["text"] for sample in answer["samples"]]
    assert texts[5][:2] == texts[2]
    assert texts[2][:1] == texts[1]
    assert len(set(texts[5])) == 5


def test_streamed_or_not_the_text_is_the_same(capsys, run):
    options = ["--prompt", "The ", "--length", 80, "--seed", 5, "--top-p", 0.9, "--stop", "zz"]
    assert sample(capsys, run, *options, "--stream") == sample(capsys, run, *options)


def test_a_stop_text_ends_the_text_and_is_no_part_of_it(capsys, run):
    whole = sample(capsys, run, "--length", 200, "--seed", 2).rstrip("\n")
    stopped = sample(capsys, run, "--length", 200, "--seed", 2, "--stop", "e").rstrip("\n")
    assert "e" in whole
    assert stopped == whole.partition("e")[0]


def test_json_has_tokens_and_the_models_own_log_probabilities(capsys, run):
    options = ["--prompt", "The ", "--length", 12, "--seed", 1, "--temperature", 0.2, "--json"]
    (one,) = json.loads(sample(capsys, run, *options))["samples"]
    assert "".join(one["tokens"]) == one["text"]
    assert len(one["log_probabilities"]) == 12
    network, states = run.network, run.network.begin(1)
    for token in "The ":
        hidden, states = network.read(np.array([run.vocabulary.id(token)]), states)
    for token, log_probability in zip(one["tokens"], one["log_probabilities"]):
        token_id = run.vocabulary.id(token)
        assert log_probability == pytest.approx(network.log_probabilities(hidden)[0, token_id], abs=1e-5)
        hidden, states = network.read(np.array([token_id]), states)


def test_a_beam_finds_nothing_less_probable_than_greedy_choice(capsys, run):
    common = ["--prompt", "The ", "--length", 12, "--json"]
    (greedy,) = json.loads(sample(capsys, run, *common, "--temperature", 0))["samples"]
    beams = json.loads(sample(capsys, run, *common, "--beam", 20, "--count", 3))["samples"]
    totals = [sum(beam["log_probabilities"]) for beam in beams]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] >= sum(greedy["log_probabilities"]) - 1e-5


def test_a_prompt_is_read_from_a_file_or_standard_input(capsys, run, tmp_path, monkeypatch):
    (tmp_path / "prompt.txt").write_text("The end")
    options = ["--length", 20, "--seed", 1]
    expected = sample(capsys, run, *options, "--prompt", "The end")
    assert sample(capsys, run, *options, "--prompt-file", tmp_path / "prompt.txt") == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"The end")))
    assert sample(capsys, run, *options, "--prompt-file", "-") == expected


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--beam", "4", "--temperature", "1"], "--temperature is for drawing"),
        (["--beam", "4", "--seed", "1"], "--seed is for drawing"),
        (["--beam", "2", "--count", "3"], "--count is 3, and a beam of 2"),
        (["--stream", "--json"], "--stream is for a single text"),
        (["--prompt", "a", "--prompt-file", "b"], "leave one of them out"),
        (["--top-p", "0"], "--top-p must be above 0"),
        (["--count", "0"], "--count must be at least 1"),
        (["--stop", ""], "--stop must not be empty"),
        (["--prompt", "a", "--encoding", "latin-1"], "--encoding is that of --prompt-file"),
    ],
)
def test_options_that_do_not_go_together_are_refused(capsys, run, options, told):
    with pytest.raises(SystemExit) as end:
        main(["sample", str(run.path), *options])
    assert end.value.code == 2
    assert told in capsys.readouterr().err


def test_scores_add_up_to_what_evaluate_says(capsys, run, tmp_path, short_text):
    text = tmp_path / "text.txt"
    text.write_text(short_text.read_text()[:300])
    tokens = [
        json.loads(line)
        for line in run_command(capsys, "score", run.path, text, "--per", "token", "--json")[0].splitlines()
    ]
    lines = [json.loads(line) for line in run_command(capsys, "score", run.path, text, "--json")[0].splitlines()]
    (evaluation,) = run.evaluate(text)
    assert "".join(token["token"] for token in tokens) == text.read_text()
    assert tokens[0]["bits"] is None
    total = sum(token["bits"] for token in tokens[1:])
    assert sum(line["bits"] for line in lines) == pytest.approx(total)
    assert "\n".join(line["text"] for line in lines) == text.read_text().rstrip("\n")
    # Evaluation reads the text in streams, each of which begins afresh one window early.
    assert total * math.log(2) / evaluation.tokens == pytest.approx(evaluation.nats_per_token, rel=0.05)


def test_all_files_are_looked_at_before_any_is_scored(capsys, run, tmp_path):
    (tmp_path / "text.txt").write_text("The end")
    for files, told in (["text.txt", "none"], "no such file"), (["-", "-"], "standard input (-) can be read only once"):
        with pytest.raises(SystemExit) as end:
            main(["score", str(run.path), *(file if file == "-" else str(tmp_path / file) for file in files)])
        assert end.value.code in (1, 2)
        printed, message = capsys.readouterr()
        assert printed == ""
        assert told in message


def test_what_cannot_be_scored_is_refused_at_once(run, tmp_path):
    for arguments in ({"per": "word"}, {"encoding": "none"}, {}):
        with pytest.raises(seqlm.SeqlmError, match=r"per: must be|encoding|no such file"):
            run.score(tmp_path / "none.txt", **arguments)


def test_a_line_without_predicted_tokens_has_no_surprisal(capsys, run, tmp_path):
    (tmp_path / "text.txt").write_text("\nThe")
    lines = run_command(capsys, "score", run.path, tmp_path / "text.txt", "--json")[0].splitlines()
    assert json.loads(lines[0]) == {
        "file": str(tmp_path / "text.txt"),
        "text": "",
        "bits": 0.0,
        "tokens": 0,
        "unknown_tokens": 0,
        "unknown_share": 0.0,
        "bits_per_token": 0.0,
    }
    assert '"bits": 0.0' in lines[0]
    assert json.loads(lines[1])["tokens"] == 3


def test_a_long_line_takes_little_memory():
    def surprisals():
        for _ in range(50_000):
            yield TokenSurprisal("a", float(len("ab")), True)

    class Letters:
        detokenize = staticmethod("".join)

    tracemalloc.start()
    (line,) = line_surprisals(surprisals(), Letters())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(line.text), line.bits, line.tokens) == (50_000, 100_000.0, 50_000)
    assert peak < 1_500_000


def test_what_cannot_be_written_is_told_in_a_line(capsys, run):
    for command in (
        ["sample", str(run.path), "--prompt", "a\udcff", "--length", "1"],
        ["infill", str(run.path), "_\udcff"],
    ):
        with pytest.raises(SystemExit) as end:
            main(command)
        assert end.value.code == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("seqlm: error: '\\udcff' cannot be written in")


def test_too_little_memory_is_told_in_a_line(capsys, monkeypatch, run):
    def far_too_much(*_):
        np.zeros(2**50)

    monkeypatch.setattr(text_generator, "beam_search", far_too_much)
    with pytest.raises(SystemExit) as end:
        main(["sample", str(run.path), "--beam", "2"])
    assert end.value.code == 1
    assert capsys.readouterr().err == "seqlm: error: there is not enough memory for this\n"


def test_what_is_not_known_is_scored_with_a_warning(capsys, run, tmp_path):
    (tmp_path / "text.txt").write_text("The \u0416\n")
    printed, told = run_command(capsys, "score", run.path, tmp_path / "text.txt")
    assert printed.endswith("\tThe \u0416\n")
    assert "is that of <unk>" in told
