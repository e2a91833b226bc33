"""What a user sees on a terminal during a training, and what the terminal is like afterwards."""

from __future__ import annotations

import re
import signal

import pytest
from terminals import SEQLM, Terminal

TINY = [
    "--hidden-size",
    "8",
    "--sequence-length",
    "10",
    "--batch-size",
    "4",
    "--log-every",
    "5",
    "--sample-every",
    "20",
]
LONG = ["--epochs", "1000000"]


def train(text, out, *options):
    return [*SEQLM, "train", text, *TINY, "--out", out, *options]


def has(pattern):
    return lambda terminal: any(re.search(pattern, line) for line in terminal.lines)


def displays(lines):
    """Return how many displays are among lines."""
    return sum(bool(re.search(r"^(━|╸|╺)+ +\d+%$", line)) for line in lines)


def test_the_screen_during_a_training(short_text, tmp_path):
    with Terminal(train(short_text, "run", *LONG), cwd=tmp_path) as terminal:
        terminal.wait_until(has(r"^validation .*best"))
        terminal.wait_until(has("^sample"))
        lines = terminal.lines
        first = next(number for number, line in enumerate(lines) if displays([line]))
        assert all(line.startswith("seqlm: ") for line in lines[:first])
        patterns = [
            r"━.* +\d+%",
            r"epoch       \d+ of 1000000, step [\d,]+ of [\d,]+",
            r"training    \d\.\d{3} nats per token",
            r"validation  \d\.\d{3} \(best \d\.\d{3}, epoch \d+\)",
            r"speed       [\d,]+ tokens/s",
            r"time        \d+:\d\d, \d+:\d\d:\d\d left",
            r"sample      at step \d*[24680]0",
        ]
        for pattern, line in zip(patterns, lines[first:]):
            assert re.fullmatch(pattern, line), lines
        assert 1 <= len(lines) - first - len(patterns) <= 4  # of the sample
        assert terminal.screen.cursor.x == 0
        assert terminal.screen.cursor.y == len(lines)
        assert terminal.cursor_is_visible


@pytest.mark.parametrize("columns", [80, 40])
def test_the_screen_after_a_training(columns, short_text, tmp_path):
    with Terminal(train(short_text, "run", "--max-steps", "600"), columns, cwd=tmp_path) as terminal:
        assert terminal.wait() == 0
        lines = terminal.everything
        (first,) = (number for number, line in enumerate(lines) if displays([line]))
        assert [line[:12].rstrip() for line in lines[first + 1 : first + 6]] == [
            "epoch",
            "training",
            "validation",
            "speed",
            "time",
        ]
        assert re.fullmatch(r"━+ 100%", lines[first])
        assert re.fullmatch(r"epoch       \d+ of \d+, step 600 of 600", lines[first + 1])
        assert re.fullmatch(r"time        \d:\d\d", lines[first + 5])
        assert not any(line.startswith("sample  ") for line in lines)
        assert lines[-1] == "sample it    seqlm sample run"
        assert terminal.cursor_is_visible
        # Nothing is as wide as the terminal but what is a message or a text of the model.
        assert all(len(line) < columns for line in lines[first : first + 6])


@pytest.mark.parametrize(("columns", "rows"), [(10, 24), (80, 4), (1, 1)])
def test_a_tiny_terminal_is_left_clean(columns, rows, short_text, tmp_path):
    with Terminal(train(short_text, "run", "--max-steps", "400"), columns, rows, cwd=tmp_path) as terminal:
        assert terminal.wait() == 0
        assert terminal.cursor_is_visible
        assert "".join(terminal.everything).replace(" ", "").endswith("seqlmsamplerun")


def test_a_terminal_that_is_resized_has_one_display(short_text, tmp_path):
    with Terminal(train(short_text, tmp_path / "run", *LONG), 100, 30) as terminal:
        for columns, rows in [(100, 30), (60, 30), (60, 14), (90, 40)]:
            terminal.resize(columns, rows)
            before = len(terminal.raw)
            terminal.wait_until(lambda terminal, before=before: len(terminal.raw) > before + 2000)
            (bar,) = (line for line in terminal.lines if displays([line]))
            assert len(bar) == columns - 1
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 130
        assert displays(terminal.everything) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_clean_and_its_message_below_the_display(number, short_text, tmp_path):
    with Terminal(train(short_text, tmp_path / "run", *LONG)) as terminal:
        terminal.wait_until(has("^validation"))
        terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number
        lines = terminal.everything
        assert displays(lines) == 1
        assert "and saved; go on with: seqlm train --resume" in "".join(lines[-4:])
        assert terminal.cursor_is_visible


def test_a_process_that_is_killed_leaves_the_cursor_visible_on_a_fresh_line(short_text, tmp_path):
    with Terminal(train(short_text, tmp_path / "run", *LONG)) as terminal:
        terminal.wait_until(has("^validation"))
        terminal.process.kill()
        terminal.wait()
        assert terminal.cursor_is_visible
        assert terminal.screen.cursor.x == 0
        assert terminal.screen.cursor.attrs == terminal.screen.default_char


def test_an_error_is_told_below_the_display(short_text, tmp_path):
    command = train(short_text, "run", "--learning-rate", "1e30", "--clip-norm", "0")
    with Terminal(command, cwd=tmp_path) as terminal:
        assert terminal.wait() == 1
        assert displays(terminal.everything) == 1
        assert any(line.startswith("seqlm: error: the ") for line in terminal.lines)
        assert terminal.cursor_is_visible


def test_quiet_shows_nothing(short_text, tmp_path):
    with Terminal(train(short_text, tmp_path / "run", "--max-steps", "300", "--quiet")) as terminal:
        assert terminal.wait() == 0
        assert displays(terminal.everything) == 0
        assert b"\x1b" not in terminal.raw


def test_a_terminal_that_cannot_go_back_gets_lines(short_text, tmp_path):
    with Terminal(train(short_text, tmp_path / "run", "--max-steps", "40"), variables={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.raw
        assert b"step 40/40: loss" in terminal.raw


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_honoured(variables, coloured, short_text, tmp_path):
    with Terminal(train(short_text, tmp_path / "run", "--max-steps", "300"), variables=variables) as terminal:
        assert terminal.wait() == 0
        assert bool(re.search(rb"\x1b\[[\d;]*3\d", terminal.raw)) == coloured
        assert displays(terminal.everything) == 1


def test_what_is_piped_is_not_a_display(short_text, tmp_path):
    with open(tmp_path / "told", "w+b") as told:
        with Terminal(train(short_text, tmp_path / "run", "--max-steps", "40"), stderr=told) as terminal:
            assert terminal.wait() == 0
        told.seek(0)
        text = told.read().decode()
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.count("--- sample at step") == 1
    assert "step 40/40: loss" in text
