"""Prompts that end with a space: it is the beginning of the next word where the tokenizer puts it into that word."""

from __future__ import annotations

import io
import logging
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.generation.prompts import cut_prompt
from seqlm_core.reading.vocabulary import UNKNOWN, Vocabulary

WORDS = {"tokenizer": "word", "embedding_size": 8}


@pytest.fixture
def run(trained):
    return trained(**WORDS)


def test_a_space_at_the_end_of_a_prompt_is_the_beginning_of_the_next_word(run, caplog):
    with caplog.at_level(logging.WARNING, "seqlm"):
        texts = run.generate("The ", count=50, length=5, temperature=1.0, seed=1)
    assert not caplog.records
    for text in texts:
        assert re.match(r" \S", text.tokens[0])
        assert text.text == "".join(text.tokens)[1:]
    assert len({text.tokens[0] for text in texts}) > 10
    assert run.sample("The ", length=5, temperature=1.0, seed=1) == "The " + texts[0].text


def test_the_next_word_is_as_probable_as_after_the_prompt_without_the_space(run):
    without = {next_.token: next_.probability for next_ in run.next_tokens("The")}
    spaced = {token: p for token, p in without.items() if re.match(r" \S", token)}
    found = {next_.token: next_.probability for next_ in run.next_tokens("The ")}
    assert found == pytest.approx({token: p / sum(spaced.values()) for token, p in spaced.items()})
    assert 0 < sum(spaced.values()) < 1
    n = 4000
    texts = run.generate("The ", count=n, length=1, temperature=1.0, seed=2)
    for token in list(found)[:5]:
        drawn = sum(text.tokens == [token] for text in texts)
        assert drawn == pytest.approx(n * found[token], abs=5 * np.sqrt(n * found[token]))
    for text in texts[:20]:
        assert text.log_probabilities[0] == pytest.approx(np.log(without[text.tokens[0]]))


@pytest.mark.parametrize("native", ["1", "0"])
@pytest.mark.parametrize("prompt", ["The ", " ", "The boy  ", "The\n "])
@pytest.mark.parametrize(
    "rules", [{"stop": "e"}, {"repetition_penalty": 1.5, "top_k": 3}, {"temperature": 0.0}], ids=str
)
def test_it_is_so_however_the_text_is_made(run, monkeypatch, native, prompt, rules):
    expected = run.generate(prompt, count=2, length=20, seed=3, **rules)
    monkeypatch.setenv("SEQLM_NATIVE", native)
    again = seqlm.LanguageRun(run.path)
    found = again.generate(prompt, count=2, length=20, seed=3, **rules)
    assert [text.tokens for text in found] == [text.tokens for text in expected]
    assert "".join(again.stream(prompt, length=20, seed=3, **rules)) == found[0].text
    assert all(text.tokens[0].startswith(" ") and not text.text.startswith(" ") for text in found)
    beams = again.generate(prompt, count=2, length=4, beam=5, stop=rules.get("stop", ()))
    for beam in beams:
        whole = "".join(beam.tokens)
        assert whole.startswith(" ")
        assert beam.text == (whole[1:].partition("e")[0] if "stop" in rules else whole[1:])


def test_the_best_of_a_beam_is_the_most_probable_next_word(run):
    (best, second) = run.generate("The ", beam=10, count=2, length=1)
    first_two = [next_.token for next_ in run.next_tokens("The ", count=2)]
    assert [best.tokens, second.tokens] == [[token] for token in first_two]


def test_characters_are_prompts_as_they_are(trained):
    run = trained(cell="gru")
    prompt = cut_prompt("The ", run.tokenizer, run.vocabulary)
    assert (prompt.tokens, prompt.beginning, prompt.allowed) == (tuple("The "), "", None)


class Pieces:
    """Pieces of words, as those of byte pairs: up to three letters, the first of a word with the space before it."""

    def tokenize(self, text):
        return re.findall(r" ?\w{1,3}|\s|[^\w\s]", text)

    def detokenize(self, tokens):
        return "".join(tokens)


@given(st.text(st.sampled_from("ab .\n"), max_size=12))
def test_prompt_and_next_token_are_cut_as_one_text(text):
    tokenizer = Pieces()
    vocabulary = Vocabulary([" a", "a", "b", ".", " ", "\n"], [0, 6, 5, 4, 3, 2, 1])
    prompt = cut_prompt(text, tokenizer, vocabulary)
    assert "".join(prompt.tokens) + prompt.beginning == text
    assert prompt.beginning == (" " if text.endswith(" ") else "")
    if prompt.beginning:
        assert tokenizer.tokenize(text + "a") == [*prompt.tokens, " a"]
        assert [vocabulary.tokens[i] for i in np.flatnonzero(prompt.allowed)] == [" a"]


def test_a_space_that_no_token_begins_with_is_read_as_it_is():
    vocabulary = Vocabulary(["a", "b"], [0, 2, 1])
    prompt = cut_prompt("a ", Pieces(), vocabulary)
    assert (prompt.tokens, prompt.ids, prompt.allowed) == (("a", " "), (1, 0), None)
    assert vocabulary.tokens[0] == UNKNOWN


@pytest.mark.parametrize(
    ("written", "prompt"),
    [
        (b"The end\n", "The end"),
        (b"The end\r\n", "The end"),
        (b"The end\n\n", "The end\n"),
        (b"The end", "The end"),
        (b"The \n", "The "),
    ],
)
def test_one_line_feed_at_the_end_of_a_prompt_file_is_left_out(run, capsys, monkeypatch, tmp_path, written, prompt):
    from seqlm_core.command_line.main import main

    (tmp_path / "prompt.txt").write_bytes(written)
    printed = []
    for options in (["--prompt", prompt], ["--prompt-file", str(tmp_path / "prompt.txt")], ["--prompt-file", "-"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(written)))
        with pytest.raises(SystemExit) as end:
            main(["sample", str(run.path), "--length", "20", "--seed", "1", *options])
        assert not end.value.code
        printed.append(capsys.readouterr().out)
    assert printed == [printed[0]] * 3
    assert printed[0].startswith(prompt)
