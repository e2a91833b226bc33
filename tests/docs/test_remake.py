"""The tutorial shows what its commands print."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from remake import PART, PROJECT, Page, shapes

TUTORIAL = PROJECT / "docs" / "tutorial.md"


def test_what_the_tutorial_shows_is_what_its_commands_print(tmp_path, monkeypatch, sample_text):
    shutil.copytree(PROJECT / "data", tmp_path / "data", ignore=shutil.ignore_patterns("models"))
    (tmp_path / "beyond-good-and-evil.txt").write_text(sample_text.read_text()[:20000])
    monkeypatch.chdir(tmp_path)
    page = TUTORIAL.read_text()
    made = Page(small=True).remade(page)
    assert shapes(made) == shapes(page)
    assert made != page


def test_nothing_that_the_tutorial_shows_is_made_by_hand():
    rest = PART.sub("", TUTORIAL.read_text())
    assert re.findall(r"^(?:```|\|).*", rest, re.MULTILINE) == []
    in_sentences = re.findall(r"\d+\.\d{2,}|\bstep \d+|\bepoch \d+", rest)
    assert set(in_sentences) <= {"0.693", "0.925"}, (
        in_sentences
    )  # the logarithm of 2, and the figure of another program


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("perplexity  ", "confusion   "),
        ("unknown tokens  ", "unknown token   "),
        ('"best": ', '"seconds": '),
        ("nats per token, ", "nats per token "),
        ("| `--dropout 0.5` ", "| `--dropout 0,5 ` "),
        ("seqlm: interrupted at", "seqlm: stopped at"),
    ],
)
def test_other_words_than_the_commands_print_are_noticed(before, after):
    page = TUTORIAL.read_text()
    assert before in page
    assert shapes(page.replace(before, after)) != shapes(page)


def test_numbers_and_samples_may_differ():
    page = TUTORIAL.read_text()
    shown = [part["shown"] for part in PART.finditer(page) if part["what"] == "report"]
    other = re.sub(r"\d", "7", shown[0])
    assert other != shown[0]
    assert shapes(page.replace(shown[0], other)) == shapes(page)


def test_what_is_made_of_a_text_that_is_not_there_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "```sh\nseqlm train none.txt\n```\n\n<!-- output: report -->\n\n```text\nas it was\n```\n"
    assert Page(small=True).remade(page) == page
    assert list(Path().iterdir()) == []
