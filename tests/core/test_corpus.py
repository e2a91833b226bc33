"""Texts turned into token ids."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.reading import text as text_module
from seqlm_core.reading.corpus import read_corpus, read_text
from seqlm_core.reading.parts import both_parts, part
from seqlm_core.reading.text import TextFile
from seqlm_core.reading.vocabulary import UNKNOWN, Vocabulary


def tokenizer(name="char"):
    spec = seqlm.installed_plugins().tokenizers.get(name)
    return spec.build(spec.options())


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def decoded(part, vocabulary):
    return "".join(vocabulary.tokens[i] for i in part.ids)


@pytest.mark.parametrize("name", ["char", "word"])
def test_small_blocks_read_as_the_whole(name, tmp_path, monkeypatch, sample_text):
    text = sample_text.read_text()[:5000] + "\r\n\r\n  naïve — “quotes” 🙂 end"
    path = write(tmp_path / "text.txt", text)
    whole = read_corpus([path], tokenizer(name))
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 7)
    pieces = read_corpus([path], tokenizer(name))
    assert list(whole.training.ids) == list(pieces.training.ids)
    assert decoded(pieces.training, pieces.vocabulary) == text


def test_the_vocabulary_is_made_of_the_training_part_alone(tmp_path):
    path = write(tmp_path / "text.txt", "ab" * 45 + "zzzzzzzzzz")
    corpus = read_corpus([path], tokenizer(), validation_fraction=0.1)
    assert corpus.vocabulary.tokens == [UNKNOWN, "a", "b"]
    assert len(corpus.training) == 90
    assert corpus.validation.unknown_tokens == 9  # the first one is not predicted
    assert corpus.validation.characters == 9
    assert corpus.validation.first_unknown == "z"


def test_a_validation_file_leaves_the_training_text_whole(tmp_path):
    training = write(tmp_path / "training.txt", "abcabcabc")
    validation = write(tmp_path / "validation.txt", "cabx")
    corpus = read_corpus([training], tokenizer(), validation_fraction=0.5, validation_paths=[validation])
    assert len(corpus.training) == 9
    assert decoded(corpus.validation, corpus.vocabulary) == f"cab{UNKNOWN}"


def test_several_files_are_read_one_after_the_other(tmp_path):
    paths = [write(tmp_path / f"{i}.txt", text) for i, text in enumerate(["one ", "two ", "three"])]
    corpus = read_corpus(paths, tokenizer("word"))
    assert decoded(corpus.training, corpus.vocabulary) == "one two three"


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60).filter(lambda t: len(set(t)) > 1))
def test_the_vocabulary_is_sorted_by_falling_count_then_by_token(tokens):
    counts = Counter(tokens)
    vocabulary = Vocabulary.from_counts(counts)
    assert vocabulary.tokens == [UNKNOWN, *sorted(counts, key=lambda t: (-counts[t], t))]
    assert vocabulary.counts.tolist() == [0, *[counts[t] for t in vocabulary.tokens[1:]]]
    assert Vocabulary.from_json(vocabulary.to_json()).tokens == vocabulary.tokens


def test_rare_tokens_are_unknown_and_counted_as_such():
    vocabulary = Vocabulary.from_counts({"a": 5, "b": 4, "c": 1, "d": 1}, min_count=2)
    assert vocabulary.tokens == [UNKNOWN, "a", "b"]
    assert vocabulary.counts.tolist() == [2, 5, 4]
    assert vocabulary.frequencies().tolist() == [0, 5 / 9, 4 / 9]
    assert Vocabulary.from_counts({"a": 5, "b": 4, "c": 1}, max_vocabulary=1).tokens == [UNKNOWN, "a"]


def test_a_token_spelt_like_the_unknown_one_is_a_token_of_its_own():
    vocabulary = Vocabulary.from_counts({UNKNOWN: 3, "a": 2, "b": 1}, min_count=2)
    assert vocabulary.id(UNKNOWN) == 1
    assert vocabulary.id("never seen") == vocabulary.id("b") == 0


@pytest.mark.parametrize("own", [UNKNOWN, f" {UNKNOWN}"])
def test_a_text_that_marks_its_unknown_words_and_lacks_no_token_says_how_to_read_others(own):
    vocabulary = Vocabulary.from_counts({"a": 4, own: 3})
    assert vocabulary.id("never seen") == vocabulary.ids(["never seen"])[0] == vocabulary.id(own) == 2
    assert "never seen" not in vocabulary
    assert vocabulary.expected_counts().tolist() == [0, 4, 3]  # seqlm's own stands for nothing


def test_a_token_that_never_occurs_but_may_is_expected_as_half_an_occurrence():
    assert Vocabulary.from_counts({"a": 4, "b": 3}).expected_counts().tolist() == [0.5, 4, 3]


def test_a_byte_order_mark_is_left_out_and_line_ends_are_kept(tmp_path):
    path = write(tmp_path / "text.txt", "\ufeffa\r\nb")
    assert decoded(read_corpus([path], tokenizer()).training, read_corpus([path], tokenizer()).vocabulary) == "a\r\nb"


@pytest.mark.parametrize("position", [0, 5, text_module.BLOCK_BYTES - 1, text_module.BLOCK_BYTES + 3])
def test_the_first_undecodable_byte_is_named(tmp_path, position):
    path = tmp_path / "text.txt"
    path.write_bytes(b"a" * position + b"\xff" + b"b" * 10)
    with pytest.raises(seqlm.TextError, match=f"byte {position} cannot be decoded.*`encoding`"):
        read_corpus([path], tokenizer())


def test_an_incomplete_character_at_a_block_end_is_named_at_its_own_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 4)
    path = tmp_path / "text.txt"
    path.write_bytes(b"abc\xe2\x82x")
    with pytest.raises(seqlm.TextError, match="byte 3 cannot"):
        read_corpus([path], tokenizer())


def test_another_encoding_is_read_when_it_is_named(tmp_path):
    path = write(tmp_path / "text.txt", "Grüße an alle", "utf-16")
    corpus = read_corpus([path], tokenizer(), encoding="utf-16")
    assert decoded(corpus.training, corpus.vocabulary) == "Grüße an alle"


def test_half_of_a_character_is_refused_at_its_place(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"abc+2AA-def")
    with pytest.raises(seqlm.TextError, match=r"holds half of a character \(a lone surrogate\) at character 3"):
        read_corpus([path], tokenizer(), encoding="utf-7")


def test_nul_characters_are_refused_at_their_place(tmp_path):
    path = write(tmp_path / "text.txt", "abc\0def")
    with pytest.raises(seqlm.TextError, match="NUL at character 3"):
        read_corpus([path], tokenizer())


def test_a_tokenizer_that_loses_text_is_found_out(tmp_path):
    class Lossy:
        def tokenize(self, text):
            return text.split()

        def detokenize(self, tokens):
            return "".join(tokens)

        def last_cut(self, text):
            return len(text)

    path = write(tmp_path / "text.txt", "some words of a text")
    with pytest.raises(seqlm.PluginError, match="Lossy loses text"):
        read_corpus([path], Lossy())


def test_every_tokenizer_trains_and_validates_on_the_same_text(sample_text):
    parts = [read_corpus([sample_text], tokenizer(name), validation_fraction=0.1) for name in ("char", "word")]
    text = sample_text.read_text()
    held_out = text[int(len(text) * 0.9) :]
    assert parts[0].validation.characters == len(held_out) - 1
    assert parts[1].validation.characters == len(held_out) - len(tokenizer("word").tokenize(held_out)[0])


def test_a_text_of_one_symbol_is_refused(tmp_path):
    path = write(tmp_path / "text.txt", "a" * 1000)
    with pytest.raises(seqlm.TextError, match="one token only, 'a'"):
        read_corpus([path], tokenizer())


def test_no_token_frequent_enough_is_refused_with_the_option(tmp_path):
    path = write(tmp_path / "text.txt", "abcdef")
    with pytest.raises(seqlm.TextError, match="`min_count`"):
        read_corpus([path], tokenizer(), min_count=2)


def test_characters_and_unknown_tokens_of_a_new_text_are_counted(tmp_path):
    vocabulary = Vocabulary.from_counts({"The": 2, " cat": 2, ".": 2})
    part = read_text([write(tmp_path / "t.txt", "The cat sat.")], tokenizer("word"), vocabulary)
    assert list(part.ids) == [vocabulary.id("The"), vocabulary.id(" cat"), 0, vocabulary.id(".")]
    assert (part.characters, part.unknown_tokens, part.first_unknown) == (9, 1, " sat")


@given(
    texts=st.lists(st.text("ab\n", max_size=30), min_size=1, max_size=4),
    share=st.floats(0, 1),
    documents=st.sampled_from(["none", "file", "line"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_both_parts_in_one_pass_are_the_parts_one_by_one(texts, share, documents, tmp_path, monkeypatch):
    monkeypatch.setattr("seqlm_core.reading.text.BLOCK_BYTES", 7)
    files = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(text.encode())
        files.append(TextFile(path))
    lengths, end = [len(text) for text in texts], sum(map(len, texts))
    cut = int(share * end)
    both = both_parts(files, lengths, "utf-8", cut, documents)
    found = [["".join(blocks) for blocks in one] for one in both]
    expected = [
        ["".join(blocks) for blocks in part(files, lengths, "utf-8", *between, documents)]
        for between in ((0, cut), (cut, end))
    ]
    assert found == expected
