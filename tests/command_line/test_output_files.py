"""``seqlm sample`` and ``seqlm score`` by several processes, into a file with which an interrupted command goes on."""

from __future__ import annotations

import json

import pytest

from seqlm_core.command_line.main import main


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture(scope="module")
def commands(trained, short_text, tmp_path_factory):
    """Return the commands that write lines of JSON; all of them print some."""
    folder = tmp_path_factory.mktemp("texts")
    path = trained().path
    other = folder / 'with "quotes".txt'
    other.write_text(short_text.read_text()[-700:])
    return {
        "sample": ["sample", path, "--count", 7, "--length", 20, "--seed", 3, "--json-lines"],
        "sample by processes": ["sample", path, "--count", 7, "--length", 20, "--seed", 3, "--json-lines", "--jobs", 2],
        "score": ["score", path, other, short_text, "--json"],
        "score in parts": ["score", path, other, short_text, "--json", "--jobs", 1],
        "score tokens": ["score", path, other, "--json", "--jobs", 1, "--per", "token"],
    }


KINDS = ["sample", "sample by processes", "score", "score in parts", "score tokens"]


def values(path):
    """Return what the lines of a file say, but for the last digits of numbers."""
    return json.loads(f"[{','.join(path.read_text().splitlines())}]", parse_float=lambda number: f"{float(number):.6f}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_that_was_interrupted_anywhere_goes_on_to_the_same_file(kind, commands, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run(*commands[kind], "--out", whole) == 0
    expected = values(whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    for kept in (0, 1, len(lines) // 2, len(lines) - 1, len(lines)):
        part.write_bytes(b"".join(lines[:kept]) + lines[-1][:9] * (kept < len(lines)))
        assert run(*commands[kind], "--out", part, "--resume") == 0
        assert values(part) == expected


@pytest.mark.parametrize("options", [[], ["--json"]], ids=str)
def test_several_processes_print_what_one_prints(options, trained, capsys):
    command = ["sample", trained().path, "--count", 7, "--length", 20, "--seed", 3, "--prompt", 'a "b', *options]
    printed = []
    for jobs in (1, 2):
        assert run(*command, "--jobs", jobs) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert printed[0].count(json.dumps('a "b')[1:-1] if options else 'a "b') == (1 if options else 7)


def test_lines_have_what_json_has(commands, trained, tmp_path):
    run(*commands["sample"], "--out", tmp_path / "lines")
    texts = trained().generate(count=7, length=20, seed=3)
    expected = [{"number": k, "seed": 3, "prompt": "", **text.to_json()} for k, text in enumerate(texts, 1)]
    assert [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()] == expected


def test_the_seed_of_the_file_is_taken_where_none_is_given(commands, tmp_path):
    unseeded = [word for word in commands["sample"] if word not in ("--seed", 3)]
    run(*unseeded, "--out", tmp_path / "whole")
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    (tmp_path / "part").write_bytes(b"".join(lines[:3]))
    assert run(*unseeded, "--out", tmp_path / "part", "--resume") == 0
    assert (tmp_path / "part").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("sample", ["--seed", 4], "'seed'"),
        ("sample", ["--prompt", "The"], "'prompt'"),
        ("sample", ["--top-k", 1], "'tokens'"),
        ("score in parts", ["--per", "token"], "'token'"),
    ],
)
def test_another_command_does_not_go_on_with_the_file(kind, options, told, commands, tmp_path, capsys):
    out = tmp_path / "out"
    run(*commands[kind], "--out", out)
    before = out.read_bytes() + b'{"half a line'
    out.write_bytes(before)
    assert run(*commands[kind], *options, "--out", out, "--resume") == 2
    error = capsys.readouterr().err
    assert f"out cannot be gone on with: its last line has another {told}" in error
    assert len(error.splitlines()) == 1
    assert out.read_bytes() == before


@pytest.mark.parametrize("text", ["no JSON\n", '["a list"]\n', '{"a": 1}\n', '{"number": -1, "seed": 3}\n'])
def test_a_file_of_something_else_is_not_changed(text, commands, tmp_path, capsys):
    out = tmp_path / "out"
    out.write_text(text)
    for kind in ("sample", "score"):
        assert run(*commands[kind], "--out", out, "--resume") in (1, 2)
        assert "out cannot be gone on with: its last line" in capsys.readouterr().err
        assert out.read_text() == text


@pytest.mark.parametrize("kind", ["sample", "score"])
def test_a_file_that_exists_is_not_written_over(kind, commands, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert run(*commands[kind], "--out", tmp_path / "out") == 2
    assert "out exists; go on with it by --resume, or name another --out" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_that_is_missing_is_told(commands, tmp_path, capsys):
    assert run(*commands["sample"], "--out", tmp_path / "no" / "out") == 1
    assert "out cannot be written: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["sample", "run", "--resume", "--json-lines"], "--resume goes on with the file of --out"),
        (["sample", "run", "--resume", "--out", "out"], "--resume goes on with texts that are drawn, a line each"),
        (["sample", "run", "--resume", "--json-lines", "--beam", "2"], "--resume goes on with texts that are drawn"),
        (["sample", "run", "--json", "--json-lines"], "--json and --json-lines are two ways"),
        (["sample", "run", "--beam", "2", "--jobs", "2"], "--jobs is for drawing"),
        (["sample", "run", "--stream", "--jobs", "2"], "--stream is for a single text"),
        (["sample", "run", "--jobs", "-1"], "-1 is not in the range x>=0"),
        (["score", "run", "text", "--resume", "--out", "out"], "--resume goes on with lines of JSON; give --json"),
        (["score", "run", "text", "--resume", "--json"], "--resume goes on with the file of --out"),
        (["score", "run", "a", "a", "--resume", "--json", "--out", "out"], "a file that is named twice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_do_not_fit_are_refused(command, told, capsys):
    assert run(*command) == 2
    assert told in capsys.readouterr().err


def test_parts_are_refused_where_the_model_learns_from_the_text(commands, capsys):
    assert run(*commands["score in parts"], "--adapt") == 2
    assert "--jobs does not go with --adapt or --cache" in capsys.readouterr().err


def test_other_forms_are_written_to_the_file_as_they_are_printed(commands, trained, short_text, tmp_path, capsys):
    drawn = ["sample", trained().path, "--count", 3, "--length", 9, "--seed", 1]
    forms = [drawn, [*drawn, "--json"], [*drawn[:4], "--beam", 3], ["score", trained().path, short_text]]
    for number, command in enumerate(forms):
        assert run(*command) == 0
        printed = capsys.readouterr().out
        assert run(*command, "--out", tmp_path / str(number)) == 0
        assert (tmp_path / str(number)).read_text() == printed
        assert capsys.readouterr().out == ""
