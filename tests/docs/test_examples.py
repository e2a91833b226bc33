"""Small runs of the example programs show what the programs are meant to show."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import seqlm_core as seqlm

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def run_example(name, *arguments):
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


# Restoring punctuation


@pytest.fixture
def text_of_random_sentences(tmp_path):
    """A text in which only the first word of a sentence shows where the sentence before it ends."""
    draw = random.Random(1)
    others = ["the", "old", "man", "saw", "a", "small", "boat", "near", "one", "grey", "wall", "and", "some", "tree"]
    sentences = [" ".join(["Then", *draw.choices(others, k=draw.randint(2, 8))]) + "." for _ in range(1500)]
    path = tmp_path / "sentences.txt"
    path.write_text(" ".join(sentences))
    return path


def test_two_directions_find_the_ends_of_sentences_that_one_does_not(text_of_random_sentences):
    done = run_example(
        "restore_punctuation.py", text_of_random_sentences, "--hidden-size", 32, "--epochs", 12, "--length", 30
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(\S.*?) +[\d,]+ +\d+\.\d  +([\d.]+)  +([\d.]+)  +([\d.]+)  +", done.stdout, re.MULTILINE)
    sentence_ends = {name: float(f1) for name, _, _, f1 in rows}
    assert sentence_ends["bilstm"] > 0.9
    assert sentence_ends["lstm, 2 words later"] > 0.9
    assert sentence_ends["lstm"] < 0.5
    assert sentence_ends["lstm, wider"] < 0.5
    assert sentence_ends["nothing"] == 0


def test_the_examples_of_punctuation_are_written_as_columns(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("PROLOGUE\n" + 'He said: "I don\'t know NATO -- no!" Why?\nBecause well-known ' * 20)
    done = run_example(
        "restore_punctuation.py", text, "--skip-lines", "PROLOGUE", "--length", 10, "--columns", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    train, validation, test = (seqlm.read_columns(tmp_path / f"{part}.tsv") for part in ("train", "validation", "test"))
    words = ["he", "said", "i", "don't", "know", "nato", "no", "why", "because", "well-known"]
    labels = ["A", "a:", "A", "a", "a", "AA", "a!", "A?", "A", "a"]
    assert train == [(words, labels)] * 16
    assert validation == test == [(words, labels)] * 2


def test_capitals_of_verse_do_not_count_where_the_word_has_none_elsewhere(tmp_path):
    text = tmp_path / "verse.txt"
    text.write_text("So long as men can breathe, or eyes can see,\nSo long lives this,\nRome. so\nSo it ends\n" * 40)
    done = run_example("restore_punctuation.py", text, "--verse", "--length", 18, "--columns", tmp_path)
    assert done.returncode == 0, done.stderr
    examples = seqlm.read_columns(tmp_path / "train.tsv")
    labels = [pair for words, labels in examples for pair in zip(words, labels)]
    assert set(labels) >= {("so", "a"), ("rome", "A.")}
    assert ("so", "A") not in labels[1:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "missing.txt"),
        (["--length", "9000"], "error: 10903 words are too few; take a longer text, or a smaller --length"),
        (["--one-sided", "lsmt", "--epochs", "1"], "lsmt"),
    ],
)
def test_a_wrong_request_to_restore_punctuation_is_reported(arguments, message):
    done = run_example("restore_punctuation.py", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
