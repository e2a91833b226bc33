"""``seqlm plot``, ``report`` and ``inspect``: what they write, and what they say of a wrong request."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import pytest
from tagger_commands import done, run_cli

PICTURES = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("ending", PICTURES)
def test_a_plot_is_of_the_kind_that_its_ending_says(language_run, folder, ending, capsys):
    assert done(capsys, "plot", language_run.path, "--out", f"losses{ending}")[0] == f"losses{ending}\n"
    assert (folder / f"losses{ending}").read_bytes().startswith(PICTURES[ending])


def test_the_text_of_a_vector_picture_is_text_and_tells_units_and_smoothing(
    language_run, two_sided_run, folder, capsys
):
    arguments = ["--out", "a.svg", "--figure", "bits", "--x", "epoch", "--smoothing", "0.9", "--title", "Two of them"]
    done(capsys, "plot", language_run.path, two_sided_run.path, *arguments)
    texts = " ".join(
        element.text or "" for element in ElementTree.parse(folder / "a.svg").iter() if "text" in element.tag
    )
    for part in ("Two of them", "epoch", "loss (bits per token)", "one-way: training, smoothed (0.9)", "(both sides)"):
        assert part in texts


def test_the_same_runs_give_the_same_picture(language_run, folder, capsys):
    for name in ("a.svg", "b.svg"):
        done(capsys, "plot", language_run.path, "--out", name)
    assert (folder / "a.svg").read_bytes() == (folder / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plot", "RUN", "--out", "losses.gif"], "--out must end with .png, .svg or .pdf, not 'losses.gif'"),
        (["plot", "RUN", "--out", "a.png", "--smoothing", "1"], "--smoothing must be below 1"),
        (["plot", "nowhere", "--out", "a.png"], "nowhere is not a run directory"),
        (["plot", "RUN", "TAGGER", "--out", "a.png"], "the losses of these runs cannot be compared: "),
        (["report", "nowhere"], "nowhere is not a run directory"),
        (["inspect", "RUN", "nowhere.txt"], "nowhere.txt"),
        (["inspect", "nowhere", "nowhere.txt"], "nowhere is not a run directory"),
        (["inspect", "TAGGER", "text.txt"], "text.txt"),
        (["play", "TAGGER"], "holds a sequence model, not a language model"),
    ],
)
def test_a_wrong_request_is_told_in_a_line(language_run, tagger, folder, capsys, arguments, message):
    (folder / "text.txt").write_text("a b c\nd e\n")
    names = {"RUN": language_run.path, "TAGGER": tagger.path}
    code, _, error = run_cli(capsys, *(names.get(word, word) for word in arguments))
    assert code in (1, 2)
    assert re.fullmatch(r"seqlm: error: [^\n]*\n", error)
    assert message in error


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("plotly.offline", ["report", "RUN"]),
        ("jinja2", ["report", "RUN"]),
        ("jinja2", ["inspect", "RUN", "text.txt"]),
        ("jinja2", ["export", "RUN", "--to", "html", "--out", "page.html"]),
        ("uvicorn", ["play", "RUN", "--port", "0"]),
        ("starlette.applications", ["play", "RUN", "--port", "0"]),
    ],
)
def test_a_missing_package_is_named_with_its_extra(language_run, folder, capsys, monkeypatch, package, arguments):
    monkeypatch.setitem(sys.modules, package, None)
    (folder / "text.txt").write_text("The rain.\n")
    code, out, error = run_cli(capsys, *(language_run.path if word == "RUN" else word for word in arguments))
    extra = "play" if arguments[0] == "play" else "pages"
    assert (code, out) == (2, "")
    assert f"pip install 'seqlm[{extra}]'" in error


def test_a_page_names_the_command_that_trained_its_run(language_run, folder, capsys):
    done(capsys, "report", language_run.path)
    assert "seqlm train" in (folder / "report.html").read_text()


def test_a_page_of_a_tagger_reads_the_columns_that_it_is_told(tagger, folder, capsys):
    (folder / "columns.tsv").write_text("O\tAda\nO\tsat\n\nO\tin\nB-LOC\tRome\n")
    arguments = ["--token-column", "2", "--label-column", "1"]
    done(capsys, "inspect", tagger.path, "columns.tsv", *arguments)
    assert "4 tokens in 2 sequences" in (folder / "inspect.html").read_text()
    done(capsys, "inspect", tagger.path, "columns.tsv", *arguments, "--limit", "2")
    assert "2 tokens in 1 sequences" in (folder / "inspect.html").read_text()


def test_tokens_alone_are_labelled(tagger, folder, capsys):
    (folder / "tokens.txt").write_text("Ada\nsat\n")
    done(capsys, "inspect", tagger.path, "tokens.txt")
    assert "labels as in the file" not in (folder / "inspect.html").read_text()
