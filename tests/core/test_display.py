"""Displays and bars on a terminal that this process has, and texts that must not control it."""

from __future__ import annotations

import io
import logging
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminals import OwnTerminal

from seqlm_core.display import bar as bars
from seqlm_core.display.bar import Bar, bars_wanted, show_no_bars
from seqlm_core.display.display import Display
from seqlm_core.display.duration import duration
from seqlm_core.display.harmless import harmless_lines
from seqlm_core.display.lines import NAME_WIDTH, folded, named_line
from seqlm_core.storage.streams import BestEffortStream


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    made = OwnTerminal(monkeypatch)
    yield made
    made.close()


class Shown:
    """A display of some lines."""

    def __init__(self, terminal, *lines):
        self.lines = lines
        self.display = Display(BestEffortStream(terminal.stream), lambda width, height: self.lines)

    def __enter__(self):
        self.display.show()
        return self

    def __exit__(self, *_):
        self.display.end(keep=True)


# What is shown, and what others write


def test_lines_are_updated_in_place_and_stay(terminal):
    terminal.be_standard()
    with Shown(terminal, "one", "two", "three") as shown:
        assert terminal.lines == ["one", "two", "three"]
        shown.lines = ("1", "2")
        shown.display.update(now=True)
        assert terminal.lines == ["1", "2"]
    print("after")
    assert terminal.lines == ["1", "2", "after"]


def test_updates_are_few(terminal):
    with Shown(terminal, "begin") as shown:
        terminal.lines  # noqa: B018 - reads
        before = len(terminal.raw)
        for number in range(1000):
            shown.lines = (str(number),)
            shown.display.update()
        assert terminal.lines == ["begin"]
        assert len(terminal.raw) == before


def test_what_is_printed_and_logged_goes_above_the_lines(terminal):
    terminal.be_standard()
    loggers = [logging.getLogger("seqlm"), logging.getLogger()]
    handlers = [logging.StreamHandler(terminal.stream), logging.StreamHandler(BestEffortStream(terminal.stream))]
    for logger, handler in zip(loggers, handlers):
        logger.addHandler(handler)
    before = [handler.stream for handler in handlers]
    try:
        with Shown(terminal, "display") as shown:
            print("to standard output")
            print("begun, ", end="", flush=True)
            assert terminal.lines == ["to standard output", "display"]
            print("ended", file=sys.stdout)
            sys.stderr.write("two\nlines\n")
            logging.getLogger("seqlm").warning("a warning")
            shown.lines = ("display 2",)
            shown.display.update(now=True)
            written = ["to standard output", "begun, ended", "two", "lines", "a warning", "a warning"]
            assert terminal.lines == [*written, "display 2"]
            print("not ended", end="")
        assert terminal.lines == [*written, "not ended", "display 2"]
        assert sys.stdout is sys.stderr is terminal.stream
        assert [handler.stream for handler in handlers] == before
    finally:
        for logger, handler in zip(loggers, handlers):
            logger.removeHandler(handler)


def test_what_goes_elsewhere_is_not_diverted(terminal, monkeypatch):
    terminal.be_standard()
    other = io.StringIO()
    monkeypatch.setattr(sys, "stdout", other)
    with Shown(terminal, "display"):
        assert sys.stdout is other
        print("elsewhere")
    assert terminal.lines == ["display"]
    assert other.getvalue() == "elsewhere\n"


def test_a_stream_that_is_kept_beyond_the_display_is_a_usual_one(terminal):
    terminal.be_standard()
    with Shown(terminal, "display"):
        kept = sys.stderr
    print("after", file=kept)
    print("and more", file=kept)
    assert terminal.lines == ["display", "after", "and more"]


def test_a_second_display_is_not_shown(terminal):
    with Shown(terminal, "first"), Shown(terminal, "second"):
        assert terminal.lines == ["first"]
    assert terminal.lines == ["first"]


def test_a_terminal_that_goes_away_is_no_error(terminal):
    with Shown(terminal, "display") as shown:
        terminal.hang_up()
        shown.display.update(now=True)


def test_a_message_may_be_taller_than_the_screen(terminal):
    terminal.be_standard()
    with Shown(terminal, "display"):
        print("\n".join(f"line {number}" for number in range(100)))
        assert terminal.lines[-2:] == ["line 99", "display"]


# Bars


def test_a_bar_is_shown_after_a_while_and_removed(terminal, monkeypatch):
    terminal.be_standard()
    monkeypatch.setattr(bars, "SECONDS_BEFORE", 0)
    with bars_wanted(), Bar("counting", 200) as bar:
        for _ in bar.over(range(50)):
            pass
        bar._display.update(now=True)
        (line,) = terminal.lines
        assert line.startswith("counting ━")
        assert line.endswith("left")
        assert " 25%" in line
    assert terminal.lines == [""]


@pytest.mark.parametrize("why", ["short", "not wanted", "quiet", "nothing known", "no terminal", "dumb"])
def test_a_bar_is_not_shown(why, terminal, monkeypatch):
    terminal.be_standard()
    if why != "short":
        monkeypatch.setattr(bars, "SECONDS_BEFORE", 0)
    if why == "no terminal":
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    if why == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    with bars_wanted():
        if why == "not wanted":
            show_no_bars()
        if why == "quiet":
            from seqlm_core.command_line.notices import be_quiet
            from seqlm_core.plugins.loading import broken_logger

            loggers = [logging.getLogger("seqlm"), broken_logger]
            levels = [logger.level for logger in loggers]
            be_quiet()
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
        with Bar("counting", 0 if why == "nothing known" else 10) as bar:
            for _ in bar.over(range(10)):
                pass
    assert terminal.lines == [""]


def test_work_that_is_a_part_of_other_work_has_no_bar(terminal, monkeypatch):
    terminal.be_standard()
    monkeypatch.setattr(bars, "SECONDS_BEFORE", 0)
    with bars_wanted(), Bar("whole", 2) as whole:
        with Bar("part", 10) as part:
            part.advance()
            part.advance()
        assert terminal.lines == [""]
        whole.advance()
        assert terminal.lines[0].startswith("whole")
    assert terminal.lines == [""]


# Texts

HOSTILE = {
    "colour": "\x1b[31mred",
    "clear the screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;title\x07",
    "of one byte": "\x9b2J",
    "carriage return in a line": "ab\x0bcd\x08\x08",
    "right to left": "\u202eabc\u202c",
    "nothing at all": "\x00\x7f",
    "a lone surrogate": "\ud800",
    "markup": "[bold]not bold[/bold] [/] [red",
    "emoji by names": ":smile:",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_text_does_not_control_the_terminal(text, terminal):
    terminal.stream.write("above\n")
    with Shown(terminal, "display", *folded(harmless_lines(text), 79, 4), "below"):
        lines = terminal.lines
        assert lines[:2] == ["above", "display"]
        assert lines[-1] == "below"
        assert "\ufffd" not in "".join(lines)
        assert terminal.screen.title == ""
        assert {cell.fg for row in terminal.screen.buffer.values() for cell in row.values()} <= {"default"}
    if text.startswith("["):
        assert text in lines


def test_hebrew_chinese_and_combining_marks_are_shown_as_they_are():
    text = "\u05e9\u05dc\u05d5\u05dd \u4e16\u754c e\u0301 \u3000\u00a0."
    assert harmless_lines(text) == [text]


def test_blank_lines_are_left_out_and_tabs_are_spaces():
    assert harmless_lines("a\n\n \n\tb\r\nc\u2028d") == ["a", "    b", "c", "d"]


def test_what_the_encoding_lacks_is_escaped_before_it_is_laid_out():
    assert harmless_lines("caf\u00e9 \u4e16", "ascii") == [r"caf\xe9 \u4e16"]
    assert harmless_lines("caf\u00e9 \u4e16", "latin-1") == [r"café \u4e16"]


@given(st.text())
def test_nothing_that_is_shown_controls_anything(text):
    for line in harmless_lines(text):
        assert not {unicodedata.category(c) for c in line} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(), st.integers(1, 100), st.integers(1, 6))
def test_folded_lines_fit(text, width, most):
    from rich.cells import cell_len

    rows = folded(harmless_lines(text), width, most)
    assert len(rows) <= most
    if width >= 8:
        assert all(cell_len(row.plain.rstrip()) <= width for row in rows)


def test_wide_characters_take_two_columns(terminal):
    with Shown(terminal, *folded(["\u4e16" * 100], 79, 4), "below"):
        # pyte leaves an empty cell behind a wide character.
        assert [len(line) for line in terminal.lines] == [39, 39, 22, 5]


def test_dots_end_a_text_of_which_there_is_more():
    rows = [row.plain for row in folded(["word " * 100], 20, 2)]
    assert len(rows) == 2
    assert rows[1].endswith(" ...")


def test_a_name_stands_before_its_value(terminal):
    with Shown(terminal, named_line("loss", "1.5"), named_line("long", "x" * 200)):
        assert terminal.lines == ["loss".ljust(NAME_WIDTH) + "1.5", "long".ljust(NAME_WIDTH) + "x" * (79 - NAME_WIDTH)]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words
