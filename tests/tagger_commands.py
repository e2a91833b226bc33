"""What the tests of ``seqlm tag`` share: a toy task, and the command run in this process."""

from __future__ import annotations

import io
import random
import sys

import pytest

from seqlm_core.command_line.main import main

TINY = ["--hidden-size", "8", "--batch-size", "8", "--max-steps", "4", "--quiet"]
PERSONS = ["Ada", "Bob", "Eve", "Max"]
TOWNS = ["Rome", "Oslo", "Lima"]
WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw"]


def toy_sequences(count, seed=1):
    """Return sequences of ``(token, part of speech, label)``: persons of two tokens, and towns after ``in``."""
    chance = random.Random(seed)
    sequences = []
    for _ in range(count):
        rows = []
        for _ in range(chance.randrange(2, 6)):
            kind = chance.randrange(4)
            if kind == 0:
                rows += [(chance.choice(PERSONS), "NNP", "B-PER"), (chance.choice(WORDS) + "son", "NNP", "I-PER")]
            elif kind == 1:
                rows += [("in", "IN", "O"), (chance.choice(TOWNS), "NNP", "B-LOC")]
            else:
                rows.append((chance.choice(WORDS), "X", "O"))
        sequences.append(rows)
    return sequences


def as_text(sequences, separator="\t", columns=(0, 2), line_end="\n"):
    """Return column text with a blank line after each sequence."""
    blocks = [[separator.join(row[i] for i in columns) + line_end for row in rows] for rows in sequences]
    return line_end.join("".join(lines) for lines in blocks)


def write(path, text, encoding="utf-8"):
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def run_cli(capsys, *arguments):
    """Return exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return (exit_.value.code, *capsys.readouterr())


def done(capsys, *arguments):
    """Return standard output and standard error of a command that succeeds."""
    code, out, err = run_cli(capsys, *arguments)
    assert code == 0, err
    return out, err


def give_standard_input(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
