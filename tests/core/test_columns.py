"""How column files are read: what a column and a sequence is, and what is wrong with a file that cannot be used."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.errors import SettingError
from seqlm_core.reading import text as text_module
from seqlm_core.sequences.columns import MOST_TOKENS, Columns, read_columns, read_sequences

# A byte-order mark would be left out at the beginning, and a return at the end of a line.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\n\r\ufeff")
WORDS = st.text(CHARACTERS, min_size=1, max_size=8)
SOLID_WORDS = WORDS.map(lambda word: word.replace(" ", "_"))
LAYOUT = {
    "line_end": st.sampled_from(["\n", "\r\n"]),
    "blank": st.sampled_from(["", " ", "\t", " \t  "]),
    "blank_lines": st.integers(1, 3),
    "encoding": st.sampled_from(["utf-8", "utf-8-sig"]),
    "block": st.sampled_from([1, 5, 1 << 20]),
}


def tokens_of(path, columns=Columns()):  # noqa: B008 - frozen
    return [columns.tokens(sequence) for sequence in read_sequences(path)]


def sequences_of(tokens, labels):
    return st.lists(st.lists(st.tuples(tokens, labels), min_size=1, max_size=5), min_size=1, max_size=5)


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def written_and_read(lines, line_end, blank, blank_lines, encoding, block):
    """Return the examples of a file with such lines in each sequence, in any layout."""
    gap = (blank + line_end) * blank_lines
    text = gap + gap.join("".join(line + line_end for line in sequence) for sequence in lines) + gap
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK_BYTES", block)
        return read_columns(write(Path(folder) / "train.tsv", text, encoding))


def as_examples(sequences):
    return [([token for token, _ in pairs], [label for _, label in pairs]) for pairs in sequences]


@settings(max_examples=60, deadline=None)
@given(sequences_of(WORDS, SOLID_WORDS), st.fixed_dictionaries(LAYOUT))
def test_any_tokens_and_labels_between_tabs_are_read_back(sequences, layout):
    lines = [[f"{token}\t{label}" for token, label in pairs] for pairs in sequences]
    assert written_and_read(lines, **layout) == as_examples(sequences)


@settings(max_examples=60, deadline=None)
@given(sequences_of(SOLID_WORDS, SOLID_WORDS), st.fixed_dictionaries(LAYOUT), st.lists(st.integers(0, 3), min_size=3))
def test_any_tokens_and_labels_between_runs_of_spaces_are_read_back(sequences, layout, runs):
    before, between, after = (" " * run for run in runs[:3])
    lines = [[f"{before}{token} {between}{label}{after}" for token, label in pairs] for pairs in sequences]
    assert written_and_read(lines, **layout) == as_examples(sequences)


def test_spaces_are_part_of_a_column_where_the_first_line_holds_a_tab(tmp_path):
    path = write(tmp_path / "train.tsv", "New York\tB-LOC\n is \t O\n")
    assert read_columns(path) == [(["New York", " is "], ["B-LOC", " O"])]


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\u2029", "\u3000"])
def test_only_line_feeds_end_lines_and_only_tabs_and_spaces_part_columns(tmp_path, character):
    text = f"a{character}b B\n{character} O\nc\r O\r\n"
    tokens = [f"a{character}b", character, "c\r"]
    assert read_columns(write(tmp_path / "train.txt", text)) == [(tokens, ["B", "O", "O"])]


def test_a_space_of_another_kind_is_a_token_and_ends_no_sequence(tmp_path):
    assert tokens_of(write(tmp_path / "new.txt", "上\n\u3000\n下\n")) == [["上", "\u3000", "下"]]


def test_the_last_line_needs_no_end(tmp_path):
    assert tokens_of(write(tmp_path / "new.txt", "a\n\nb\nc")) == [["a"], ["b", "c"]]


def test_sequences_come_with_their_lines_and_where_they_stand(tmp_path):
    path = write(tmp_path / "new.txt", "\ufeff\n\nThe  DT\r\ncat  NN\r\n\r\n \t\r\nIt PRP\r\n")
    first, second = read_sequences(path)
    assert (first.lines, first.first_line) == (["The  DT", "cat  NN"], 3)
    assert (second.lines, second.first_line) == (["It PRP"], 7)
    assert first.fields == [["The", "DT"], ["cat", "NN"]]
    assert (len(first), first.width) == (2, 2)
    assert Columns().tokens(first) == ["The", "cat"]


@pytest.mark.parametrize(
    ("columns", "tokens", "labels"),
    [
        (Columns(), ["1", "2"], ["O", "B"]),
        (Columns(token=2), ["The", "cat"], ["O", "B"]),
        (Columns(token=-3, label=3), ["The", "cat"], ["DT", "NN"]),
        (Columns(token=4, label=-4), ["O", "B"], ["1", "2"]),
    ],
)
def test_columns_count_from_either_end(tmp_path, columns, tokens, labels):
    path = write(tmp_path / "train.tsv", "1\tThe\tDT\tO\n2\tcat\tNN\tB\n")
    assert read_columns(path, columns.token, columns.label) == [(tokens, labels)]
    assert tokens_of(path, columns) == [tokens]


def test_another_encoding_is_read_when_it_is_named(tmp_path):
    path = write(tmp_path / "train.tsv", "Grüße\tO\n\nan\tB\n", "utf-16")
    assert read_columns(path, encoding="utf-16") == [(["Grüße"], ["O"]), (["an"], ["B"])]


def test_a_sequence_is_there_before_the_next_one_is_read(tmp_path):
    sequences = read_sequences(write(tmp_path / "new.txt", "a O\n\nb\n"))
    assert next(sequences).lines == ["a O"]
    with pytest.raises(seqlm.TextError, match="line 3"):
        next(sequences)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a O\nb O\n\nc X O\n", "line 4 has 3 columns, and line 1 has 2; give every line the same columns"),
        ("\na\tb\tO\nc\n", "line 3 has 1 column, and line 2 has 3; give every line the same columns"),
        ("a\tO\n\nNew York\n", "line 3 has 1 column, and line 1 has 2; give every line the same columns"),
        ("a O\n\nb\tO\n", "line 3 has 1 column, and line 1 has 2; give every line the same columns"),
        ("a\tO\nb\t\n", "line 2 has an empty column 2; fill it, or remove a tab"),
        ("\tO\n", "line 1 has an empty column 1; fill it, or remove a tab"),
        ("a\t\tO\nb\tX\tO\n", "line 1 has an empty column 2; fill it, or remove a tab"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path, text, problem):
    path = write(tmp_path / "train.tsv", text)
    with pytest.raises(seqlm.TextError) as error:
        read_columns(path)
    assert str(error.value) == f"{path}, {problem}"


@pytest.mark.parametrize("text", ["\n", "\r\n \t\n\n", "\ufeff", " "])
def test_a_file_of_blank_lines_holds_no_sequences(tmp_path, text):
    with pytest.raises(seqlm.TextError, match=r"train\.tsv holds no sequences, only blank lines"):
        read_columns(write(tmp_path / "train.tsv", text))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(seqlm.TextError, match=r"no such file: .*absent\.tsv"):
        read_columns(tmp_path / "absent.tsv")
    with pytest.raises(seqlm.TextError, match="is a directory"):
        read_columns(tmp_path)
    with pytest.raises(seqlm.TextError, match=r"train\.tsv is empty"):
        read_columns(write(tmp_path / "train.tsv", ""))
    with pytest.raises(seqlm.TextError, match=r"train\.tsv is not utf-8: byte 4 cannot be decoded.*`encoding`"):
        read_columns(write(tmp_path / "train.tsv", "a O\né O\n", "latin-1"))


@pytest.mark.parametrize(
    ("columns", "setting", "number"),
    [
        (Columns(label=4), "label_column", 4),
        (Columns(label=-3), "label_column", -3),
        (Columns(token=3), "token_column", 3),
        (Columns(token=-5), "token_column", -5),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_its_setting(tmp_path, columns, setting, number):
    path = write(tmp_path / "train.tsv", "a\tO\n")
    with pytest.raises(SettingError) as error:
        read_columns(path, columns.token, columns.label)
    assert (error.value.setting, error.value.problem) == (
        setting,
        f"is {number}, and the lines of {path} have 2 columns",
    )


def test_labels_are_not_taken_from_the_column_of_the_tokens(tmp_path):
    path = write(tmp_path / "new.txt", "a\nb\n")
    assert tokens_of(path) == [["a", "b"]]
    with pytest.raises(SettingError) as error:
        read_columns(path)
    assert error.value.setting == "label_column"
    assert error.value.problem == (
        f"is -1, and in {path}, with 1 column, that is the token column too; choose another, or add a column of labels"
    )
    with pytest.raises(SettingError, match=r"label_column: is 2, and in .* with 2 columns"):
        read_columns(write(tmp_path / "train.tsv", "a O\n"), -1, 2)


def test_there_is_no_column_zero():
    with pytest.raises(SettingError, match="token_column: must not be 0"):
        Columns(token=0)
    with pytest.raises(SettingError, match="label_column: must not be 0"):
        Columns(label=0)


def test_a_sequence_that_is_too_long_is_named_by_its_first_line(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("a X\n\n" + "b X\n" * MOST_TOKENS)
    assert [len(sequence) for sequence in read_sequences(path)] == [1, MOST_TOKENS]
    path.write_text("a X\n\n" + "b X\n" * (MOST_TOKENS + 1))
    with pytest.raises(seqlm.TextError, match=r"long\.txt, line 3 begins a sequence of more than 20,000 tokens"):
        list(read_sequences(path))
