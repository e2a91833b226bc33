"""Commands that may take long show a bar on a terminal, and print what they print without one."""

from __future__ import annotations

import io
import re
import sys

import pytest
from tagger_commands import as_text, toy_sequences, write
from terminals import SEQLM, OwnTerminal, Terminal

import seqlm_core as seqlm
from seqlm_core.command_line import tag_apply
from seqlm_core.command_line.main import main
from seqlm_core.display import bar, display


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """A tagger and a file of columns."""
    folder = tmp_path_factory.mktemp("tagger")
    file = write(folder / "train.tsv", as_text(toy_sequences(40)))
    model = seqlm.SequenceModel("tokens", "labels", hidden_size=4, max_steps=3, batch_size=4)
    return model.train(seqlm.read_columns(file), out=folder / "run", quiet=True).path, file


def printed(monkeypatch, *arguments):
    """Return what a command prints, its standard error being what it is."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    assert exit_.value.code == 0
    return output.getvalue()


@pytest.fixture
def command(request, trained, tagged, short_text, tmp_path):
    """Return a command with its arguments, and what its bar says."""
    text = tmp_path / "text.txt"
    text.write_text(short_text.read_text()[:1500])
    tagger, columns = tagged
    return {
        "evaluate": ("evaluating", "evaluate", trained().path, text),
        "evaluate --cache": ("evaluating", "evaluate", trained().path, text, "--cache", "20"),
        "score": ("scoring", "score", trained().path, text),
        "score --adapt": ("scoring", "score", trained().path, text, "--adapt", "--per", "token"),
        "infill": ("filling", "infill", trained(cell="bigru").path, "The ___ of", "--count", "2"),
        "infill, drawn": (
            *("filling", "infill", trained(cell="bigru").path, "The ___ of", "--count", "40"),
            *("--temperature", "1", "--seed", "1"),
        ),
        "tag apply": ("labelling", "tag", "apply", tagger, columns),
        "tag evaluate": ("predicting", "tag", "evaluate", tagger, columns),
    }[request.param]


ALL = ["evaluate", "evaluate --cache", "score", "score --adapt", "infill", "infill, drawn", "tag apply", "tag evaluate"]


@pytest.mark.parametrize("command", ALL, indirect=True)
def test_a_bar_grows_to_its_end_and_is_removed(command, monkeypatch):
    doing, *arguments = command
    monkeypatch.setattr(tag_apply, "SEQUENCES_AT_A_TIME", 10)
    expected = printed(monkeypatch, *arguments)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(bar, "SECONDS_BEFORE", 0)
    monkeypatch.setattr(display, "SECONDS_BETWEEN", 0)
    monkeypatch.setattr(display, "MOST_SHARE", 1e9)
    terminal = OwnTerminal(monkeypatch)
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    assert printed(monkeypatch, *arguments) == expected
    assert not any("%" in line for line in terminal.lines)
    shares = [int(share) for share in re.findall(rf"{doing} .*?(\d+)%".encode(), terminal.raw)]
    assert len(set(shares)) > 3
    assert shares == sorted(shares)
    assert shares[-1] == 100
    terminal.close()


@pytest.mark.parametrize("command", ["score", "tag apply"], indirect=True)
def test_what_is_printed_on_a_terminal_line_by_line_needs_no_bar(command, monkeypatch):
    _, *arguments = command
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(bar, "SECONDS_BEFORE", 0)
    terminal = OwnTerminal(monkeypatch)
    terminal.be_standard()
    with pytest.raises(SystemExit):
        main([str(argument) for argument in arguments])
    assert len(terminal.lines) > 5
    assert b"%" not in terminal.raw
    terminal.close()


def test_of_several_workers_one_shows_a_display_and_writes_events(short_text, tmp_path):
    options = ["--hidden-size", "8", "--max-steps", "40", "--workers", "2", "--tensorboard", "events", "--out", "run"]
    with Terminal([*SEQLM, "train", short_text, *options], cwd=tmp_path) as terminal:
        assert terminal.wait() == 0
        shown = [line for line in terminal.everything if line.endswith(" 100%")]
        assert len(shown) == 1
        assert terminal.lines[-1] == "sample it    seqlm sample run"
    assert len(list((tmp_path / "events").iterdir())) == 1
