"""Byte-pair encoding: nothing is lost, blocks change nothing, and what is learnt is the same everywhere."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqlm_bpe import PIECE, BPEOptions, BPETokenizer, bytes_of

import seqlm_core as seqlm

TEXT = "the cat sat on the mat, the other cat sat there.\n\nDon't they (all) sit? \u00dcber caf\u00e9s, they do.\n" * 20
ANY_STRING = st.text(st.characters(exclude_categories=()))  # with halves of surrogate pairs
SPACES = st.text(st.sampled_from("ab'(.\t\n\r \u00a0\u2028\u3000\x1c\x85\u200b\ud800"))
LONG = st.lists(st.sampled_from(["x" * 59, "x" * 60, "-" * 61, " " * 60, "\n" * 60, "a", " ", "'"])).map("".join)
TEXTS = ANY_STRING | SPACES | LONG | st.text(st.sampled_from("catshe ., \n"))
unhurried = settings(deadline=None, database=None)


def learnt(text: str = TEXT, merges: int = 60) -> BPETokenizer:
    tokenizer = BPETokenizer(BPEOptions(merges))
    tokenizer.train([text])
    return tokenizer


LEARNT = learnt()


def slowly_learnt(text: str, merges: int) -> list[list[str]]:
    """Byte-pair encoding as it is defined; of pairs that are equally frequent, the first by the tokens' numbers."""
    pieces = collections.Counter(tuple(bytes_of(piece)) for piece in PIECE.findall(text))
    numbers = {chr(byte): byte for byte in range(256)}
    found = []
    while len(found) < merges:
        pairs = collections.Counter()
        for piece, count in pieces.items():
            for pair in zip(piece, piece[1:]):
                pairs[pair] += count
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], numbers[pair[0]], numbers[pair[1]]))
        numbers.setdefault(left + right, len(numbers))
        found.append([left, right])
        joined = collections.Counter()
        for piece, count in pieces.items():
            tokens = list(piece)
            for place in range(len(tokens) - 1):
                if place + 1 < len(tokens) and tokens[place : place + 2] == [left, right]:
                    tokens[place : place + 2] = [left + right]
            joined[tuple(tokens)] += count
        pieces = joined
    return found


def test_bpe_conforms(seqlm_conformance):
    seqlm_conformance("tokenizer:bpe")


def test_it_learns_the_pairs_of_the_definition():
    assert LEARNT.state()["merges"] == slowly_learnt(TEXT, 60)


def test_it_cuts_words_as_they_were_learnt():
    assert LEARNT.tokenize("the cat sat") == ["the", " cat", " sat"]
    assert LEARNT.detokenize(["\u00c3", "\u00a9"]) == "\u00e9"


@pytest.mark.parametrize("tokenizer", [LEARNT, BPETokenizer(BPEOptions())], ids=["learnt", "fresh"])
@unhurried
@given(text=TEXTS)
def test_tokens_joined_are_the_text(tokenizer, text):
    tokens = tokenizer.tokenize(text)
    assert all(tokens)
    assert tokenizer.detokenize(tokens) == text


@unhurried
@given(text=TEXTS, following=TEXTS)
@example(text="a \n ", following="\n")
@example(text="don'", following="t")
@example(text=" " * 60, following="x")
def test_a_text_is_cut_where_nothing_that_follows_matters(text, following):
    cut = LEARNT.last_cut(text)
    parts = LEARNT.tokenize(text[:cut]) + LEARNT.tokenize(text[cut:] + following)
    assert parts == LEARNT.tokenize(text + following)
    assert len(text) - cut <= 61


@unhurried
@given(tokens=st.lists(st.sampled_from([*map(chr, range(256)), " the", "\u00c3\u00a9"])))
def test_whatever_a_model_makes_up_can_be_joined_and_printed(tokens):
    LEARNT.detokenize(tokens).encode("utf-8")


@settings(deadline=None, database=None, max_examples=20)
@given(borders=st.lists(st.integers(0, len(TEXT))).map(sorted))
def test_it_does_not_matter_where_the_training_text_is_cut(borders):
    starts = [0, *borders]
    tokenizer = BPETokenizer(BPEOptions(60))
    tokenizer.train(TEXT[start:end] for start, end in zip(starts, [*borders, len(TEXT)]))
    assert tokenizer.state() == LEARNT.state()


def test_every_process_learns_the_same():
    program = f"import json, test_bpe; print(json.dumps(test_bpe.learnt({TEXT!r}, 200).state()))"
    states = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=os.path.dirname(__file__), env=environment, stdout=-1, check=True
        )
        states.add(done.stdout)
    assert len(states) == 1
    assert json.loads(states.pop()) == learnt(merges=200).state()


@pytest.mark.parametrize("text", ["", "a", "ab"])
def test_a_text_without_pairs_teaches_nothing(text):
    tokenizer = learnt(text)
    assert tokenizer.state() == {"merges": []}
    assert tokenizer.tokenize("ab") == ["a", "b"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "merges"),
        ({"merges": 1}, "not iterable"),
        ({"merges": [["a"]]}, "unpack"),
        ({"merges": [["zz", "a"]]}, "zz"),
    ],
)
def test_a_damaged_state_is_refused(state, message):
    with pytest.raises(Exception, match=message):
        BPETokenizer(BPEOptions()).restore(state)


def test_a_run_keeps_what_was_learnt(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    sizes = {
        "hidden_size": 8,
        "batch_size": 4,
        "sequence_length": 10,
        "epochs": 1,
        "schedule": "constant",
        "quiet": True,
    }
    run = seqlm.train(path, tokenizer="bpe", tokenizer_options={"merges": 60}, out=tmp_path / "run", **sizes)
    assert run.tokenizer.state()["merges"]
    opened = seqlm.Run(tmp_path / "run")
    assert opened.tokenizer.state() == run.tokenizer.state()
    assert opened.sample("the cat", length=20, seed=1) == run.sample("the cat", length=20, seed=1)
    assert seqlm.resume(run.path, epochs=2, quiet=True).tokenizer.state() == run.tokenizer.state()
