"""How the tokens of a text are numbered and kept: in the smallest integers, by codes where the tokenizer gives some."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from right_plugins import Characters

import seqlm_core as seqlm
from seqlm_core.plugins.guarded_tokenizer import guarded_tokenizer
from seqlm_core.reading.corpus import read_corpus, read_text
from seqlm_core.reading.integer_file import IntegerFile, mapped_integers
from seqlm_core.reading.numbering import Numbers, number_tokens
from seqlm_core.reading.preparing import Preparation
from seqlm_core.reading.text import TextFile
from seqlm_core.reading.vocabulary import Vocabulary

integers = st.integers(0, 2**31 - 1) | st.sampled_from([0, 254, 255, 256, 257, 65535, 65536])


class CodedCharacters(Characters):
    def codes(self, text):
        return np.array([ord(character) for character in text], dtype=np.uint32)

    def token_of(self, code):
        return chr(code)


class WrongCodes(CodedCharacters):
    def __init__(self, code):
        self.code = code

    def codes(self, text):
        return np.full(len(text), self.code, dtype=np.int64)


@given(st.lists(st.lists(integers, max_size=20), max_size=8), st.booleans())
@settings(deadline=None)
def test_a_file_of_integers_is_an_array_of_the_smallest_type_that_holds_them(parts, has_name):
    everything = [integer for part in parts for integer in part]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "integers" if has_name else None
        with IntegerFile(path) as file:
            for part in parts:
                file.write(np.array(part, dtype=np.int64), max(part, default=0))
            array = file.array()
        assert array.tolist() == everything
        if path is not None:
            assert mapped_integers(path, array.dtype.name, len(array)).tolist() == everything
            with pytest.raises(ValueError, match="does not hold"):
                mapped_integers(path, array.dtype.name, len(array) + 1)
    largest = max([0, *everything])
    assert array.dtype == (np.uint8 if largest < 256 else np.uint16 if largest < 65536 else np.int32)


@pytest.mark.parametrize("largest", [1, 300, 70_000])
def test_the_last_integer_of_a_file_can_be_replaced(largest):
    with IntegerFile() as file:
        for value in (5, 6, 7):
            file.write(np.array([value]), largest)
        file.change_last(9)
        file.write(np.array([8]), largest)
        assert file.array().tolist() == [5, 6, 9, 8]


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=6), st.sampled_from(["none", "file", "line"]))
@settings(deadline=None)
def test_codes_number_tokens_as_they_first_occur_just_as_the_tokens_do(blocks, documents):
    found = []
    for tokenizer in (Characters(), CodedCharacters(), built_in_characters()):
        numbers = Numbers()
        text = number_tokens([iter(blocks), iter(blocks[::-1])], tokenizer, numbers, documents)
        ends = None if text.ends is None else text.ends.tolist()
        found.append((text.numbers.tolist(), text.counts.tolist(), text.characters, ends, list(numbers.items())))
    assert found[0] == found[1] == found[2]
    everything = list("".join(blocks + blocks[::-1]))
    assert found[0][1] == [0, *map(everything.count, numbers)]
    assert list(numbers.items()) == [(token, n) for n, token in enumerate(dict.fromkeys(everything), start=1)]
    assert found[0][0][documents != "none" :] == [numbers[token] for token in everything]


def built_in_characters():
    spec = seqlm.installed_plugins().tokenizers.get("char")
    return guarded_tokenizer(spec.build(spec.options()), spec)


@pytest.mark.parametrize("different", [200, 255, 256, 300, 65_534, 65_535, 65_536])
def test_ids_of_a_text_are_those_of_its_vocabulary_whatever_their_type(different, tmp_path):
    letters = [chr(0x4E00 + number) for number in range(20_000)] + [chr(0x20000 + n) for n in range(46_000)]
    text = "".join(letters[:different])
    path = tmp_path / "text.txt"
    path.write_text(text + text[:50], encoding="utf-8")
    corpus = read_corpus([path], CodedCharacters())
    numbers = Preparation([TextFile(path)], CodedCharacters()).text().training.numbers
    assert numbers.dtype.itemsize == (1 if different < 256 else 2 if different < 65536 else 4)
    assert [corpus.vocabulary.tokens[i] for i in corpus.training.ids[:different]] == list(text)
    other = Vocabulary(["a", "b", *letters[: different - 2]], [1, *[1] * different])
    assert list(read_text([path], CodedCharacters(), other).ids) == other.ids(text + text[:50]).tolist()


@pytest.mark.parametrize("code", [-1, 1 << 24])
def test_a_code_for_which_there_is_no_room_is_refused(code):
    with pytest.raises(seqlm.PluginError, match=rf"codes must be from 0 to 16,777,215, not {code}"):
        number_tokens([iter(["abc"])], WrongCodes(code), Numbers(), "none")
