"""``seqlm cache``, and what is seen of the cache while a text is prepared."""

from __future__ import annotations

import json
import re

import pytest

import seqlm_core as seqlm
from seqlm_core.command_line.main import main
from seqlm_core.display import bar
from seqlm_core.reading import preparing, survey
from seqlm_core.storage.streams import BestEffortStream

TRAIN = ["train", "--max-steps", "2", "--hidden-size", "8", "--batch-size", "4", "--sequence-length", "10"]


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Run a command in a folder with a text; return its exit code and what it printed."""
    monkeypatch.setenv("SEQLM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SEQLM_CACHE_LIMIT", "1")
    monkeypatch.setattr(preparing, "SMALLEST_KEPT", 0)
    monkeypatch.setattr(survey, "SETTLED", -1e9)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text("".join(f"line {number} of a book\n" for number in range(200)))

    def run(*arguments):
        with pytest.raises(SystemExit) as exited:
            main(list(arguments))
        printed = capfd.readouterr()
        return exited.value.code or 0, printed.out, printed.err

    return run


def test_what_is_kept_is_listed_and_removed(command, tmp_path):
    assert command(*TRAIN, "book.txt", "--out", "run")[0] == 0
    code, out, _ = command("cache")
    assert code == 0
    kept, total = out.splitlines()
    assert re.fullmatch(r" +[\d.]+ kB  \d{4}-\d\d-\d\d \d\d:\d\d  char +\S+/book\.txt", kept)
    assert re.fullmatch(r"[\d.]+ kB of at most 1\.0 GB, in \S+/cache/texts", total)
    code, out, _ = command("cache", "--json")
    (text,) = json.loads(out)["texts"]
    assert text["texts"] == [str(tmp_path / "book.txt")]
    assert text["bytes"] > 4000
    code, out, _ = command("cache", "--clear")
    assert (code, out) == (0, f"freed {text['bytes'] / 1000:.1f} kB\n")
    assert command("cache")[1].startswith("0 bytes of at most")
    assert seqlm.text_cache().entries() == []


def test_several_files_are_one_text(command, tmp_path):
    (tmp_path / "other.txt").write_text("another text\n" * 50)
    assert command(*TRAIN, "book.txt", "other.txt", "--out", "run")[0] == 0
    assert "/book.txt and 1 more\n" in command("cache")[1]


def test_a_wrong_limit_is_one_line(command, monkeypatch):
    monkeypatch.setenv("SEQLM_CACHE_LIMIT", "many")
    for arguments in (["cache"], [*TRAIN, "book.txt", "--out", "run"]):
        code, _, err = command(*arguments)
        assert code == 2
        assert err.splitlines()[-1].startswith("seqlm: error: SEQLM_CACHE_LIMIT must be a number of gigabytes")


def test_a_cache_that_cannot_be_written_to_is_one_line_and_the_training_goes_on(command, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQLM_CACHE_DIR", str(tmp_path / "book.txt"))
    code, _, err = command(*TRAIN, "book.txt", "--out", "run")
    assert code == 0
    warnings = [line for line in err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert "prepared texts cannot be kept in" in warnings[0]
    assert "SEQLM_CACHE_DIR" in warnings[0]


@pytest.mark.parametrize(("quiet", "shown"), [([], True), (["--quiet"], False)])
def test_a_bar_shows_on_a_terminal_how_far_the_preparation_is(quiet, shown, command, monkeypatch):
    monkeypatch.setattr(BestEffortStream, "can_redraw", lambda stream: True)
    monkeypatch.setattr(bar, "SECONDS_BEFORE", 0)
    code, _, err = command(*TRAIN, "book.txt", "--out", "run", *quiet)
    assert code == 0
    for doing in ("reading", "preparing"):
        assert bool(re.search(rf"{doing} .*\d+%.* left", err)) == shown
