"""The comparison with published figures: its rows, and what it reads, refuses and prints."""

import dataclasses
import math
import os
import re
import signal
from pathlib import Path

import published
import pytest
from click.testing import CliRunner
from published_rows import ABLATION, CORPORA, ROWS, Corpus, Row

import seqlm_core as seqlm
from seqlm_core.settings.fields import make_settings

LINES = " the <unk> rose N % \n in all the index fell N points \n the rose fell \n"
# Counted by hand: the lines have 6 + 8 + 4 tokens with their ends, and 19 + 31 + 14 characters without blanks at ends.
WORDS = Corpus("Made up, words", "perplexity", ("train.txt", "valid.txt", "test.txt"), "space", (18 * 40, 18, 36), 11)
CHARACTERS = dataclasses.replace(
    WORDS, figure="bits per character", tokenizer="char", counts=(64 * 40, 64, 128), entries=22, bare_lines=True
)
SMALL = {"hidden_size": 8, "batch_size": 4, "sequence_length": 10}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that calls the program on made-up corpora, whose test text is missing."""
    for name, copies in (("train.txt", 40), ("valid.txt", 1)):
        (tmp_path / name).write_text(LINES * copies)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(published, "CORPORA", {"words": WORDS, "characters": CHARACTERS})
    rows = {name: Row(name, 60, SMALL, (("a model of others", 1.5),)) for name in published.CORPORA}
    for name, row in rows.items():
        monkeypatch.setitem(ROWS, f"made-up-{name}", row)
    (argument,) = (parameter for parameter in published.main.params if parameter.name == "name")
    monkeypatch.setattr(argument.type, "choices", tuple(ROWS))

    def call(row, *options):
        return CliRunner().invoke(published.main, [row, "--data", str(tmp_path), *options])

    return call


def test_the_settings_of_every_row_can_be_used():
    for name, row in ROWS.items():
        tokenizer = CORPORA[row.corpus].tokenizer
        settings = make_settings(seqlm.LanguageSettings, {**row.settings, "tokenizer": tokenizer})
        assert seqlm.installed_plugins().cells.get(settings.cell), name
        assert row.minutes > 0


def test_a_row_of_the_ablation_differs_in_what_it_leaves_out_alone():
    whole = ROWS["ptb-ablation"]
    for name, (_, _, changes) in ABLATION.items():
        row = ROWS[name]
        assert row.settings == {**whole.settings, **changes}
        assert (row.corpus, row.minutes) == (whole.corpus, whole.minutes)


def test_a_row_is_trained_within_its_time_and_printed_without_the_test_text(command, tmp_path):
    result = command("made-up-words", "--minutes", "0.06")
    assert result.exit_code == 0, result.output
    printed = dict(re.findall(r"^(\w+) +(.*)$", result.output, re.MULTILINE))
    run = seqlm.LanguageRun("data/models/published/made-up-words/run")
    assert run.history()[-1]["seconds"] < 60
    figures = run.evaluate(tmp_path / "valid.txt")[0]
    assert float(printed["validation"].split()[0]) == pytest.approx(figures.perplexity, abs=1e-3)
    assert figures.tokens == 17
    assert printed["published"] == "1.5  a model of others"
    assert printed["test"] == "not looked at; --test does"
    assert printed["parameters"] == f"{sum(weights.size for weights in run.weights.values()):,}"
    # A finished run is not trained again; one of other settings is not taken for it.
    (tmp_path / "test.txt").write_text(LINES * 2)
    trained = run.history()
    again = command("made-up-words", "--minutes", "0.06", "--test", "--cache", "20")
    assert again.exit_code == 0, again.output
    assert seqlm.LanguageRun(run.path).history() == trained
    perplexity = float(re.search(r"^test +(\S+) perplexity$", again.output, re.MULTILINE)[1])
    assert perplexity == pytest.approx(run.evaluate(tmp_path / "test.txt")[0].perplexity, abs=1e-3)
    with_cache = re.findall(r"^(\w+) +(\S+) perplexity, with cache 20$", again.output, re.MULTILINE)
    expected = [(part, run.evaluate(tmp_path / f"{part}.txt", cache=20)[0].perplexity) for part in ("valid", "test")]
    assert [(part[:5], pytest.approx(float(value), abs=1e-3)) for part, value in with_cache] == expected
    other = command("made-up-words", "--minutes", "0.07")
    assert (other.exit_code, "other settings, minutes or steps" in other.output) == (1, True)


def test_a_row_takes_as_many_steps_as_it_is_told_to(command):
    result = command("made-up-words", "--steps", "30", "--minutes", "0.0001")
    assert result.exit_code == 0, result.output
    run = seqlm.LanguageRun("data/models/published/made-up-words/run")
    assert run.history()[-1]["step"] == 30
    assert "planned" not in result.output
    assert command("made-up-words", "--steps", "31").exit_code == 1  # it is another run


def test_an_interrupted_row_goes_on_where_it_was(command, monkeypatch):
    steps = []

    class Interrupted(published.Deadline):
        def on_step(self, training):
            steps.append(training.step)
            if len(steps) == 5:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(published, "planned_steps", lambda *arguments: 40)
    monkeypatch.setattr(published, "Deadline", Interrupted)
    result = command("made-up-words")
    assert result.exit_code == 1
    assert result.output.endswith("Error: interrupted and saved; the same command goes on with it\n")
    assert steps == [1, 2, 3, 4, 5]
    result = command("made-up-words")
    assert result.exit_code == 0, result.output
    assert steps == [*range(1, 41)]


def test_characters_are_cut_as_the_papers_cut_them(command, monkeypatch):
    monkeypatch.setattr(published, "planned_steps", lambda *arguments: 20)
    result = command("made-up-characters")
    assert result.exit_code == 0, result.output
    run = seqlm.LanguageRun("data/models/published/made-up-characters/run")
    text = "the <unk> rose N %\nin all the index fell N points\nthe rose fell\n"
    assert (Path("data/models/published/made-up-characters") / "valid.txt").read_text() == text
    assert len(run.vocabulary) == 1 + len(set(text))
    nats = min(record["validation_nats_per_token"] for record in run.history() if record["kind"] == "epoch")
    assert f"validation   {nats / math.log(2):.4f} bits per character" in result.output


def test_another_edition_of_a_text_is_refused(command, tmp_path):
    (tmp_path / "valid.txt").write_text(LINES + " more \n")
    result = command("made-up-words")
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path / 'valid.txt'} has 20 tokens, not 18: it is another edition\n"


def test_a_missing_text_is_named(command, tmp_path):
    result = command("made-up-words", "--test")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {tmp_path / 'test.txt'} is missing; this row needs train.txt, valid.txt")
