"""Examples as they are kept, and what inputs and outputs mean: the same after a round trip, whatever they hold."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import seqlm_core as seqlm
from seqlm_core.sequences.codecs import UNKNOWN_LABEL, Codecs, LabelCodec, ValueCodec
from seqlm_core.sequences.encoded_sequences import EncodedSequences
from seqlm_core.sequences.examples import check_examples, check_inputs, read_examples, write_examples
from seqlm_core.sequences.token_codec import TokenCodec, shape_of

# Lone surrogates too, which come of undecodable bytes; but no pair of them, which JSON does not tell from a character.
TEXTS = st.text(st.characters(blacklist_categories=[]), max_size=4).filter(
    lambda t: not re.search("[\ud800-\udbff][\udc00-\udfff]", t)
)
LABELS = TEXTS | st.integers() | st.sampled_from(["1", 1, "-1", -1, "", "O"])
TOKENS = st.lists(TEXTS | st.integers(), max_size=6)
NUMBERS = st.floats(allow_infinity=False, allow_nan=False) | st.sampled_from([5e-324, -0.0, 1.7e308, 0.1])
a_few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def arrays(channels, numbers=NUMBERS):
    return st.integers(0, 5).flatmap(lambda time: hnp.arrays(np.float64, (time, channels), elements=numbers))


def labelled(sequences, labels):
    """Return a strategy of pairs with a label for each time step."""
    return sequences.flatmap(
        lambda sequence: st.tuples(st.just(sequence), st.lists(labels, min_size=len(sequence), max_size=len(sequence)))
    )


EXAMPLES = {
    ("tokens", "labels"): labelled(TOKENS, st.none() | LABELS),
    ("tokens", "label"): st.tuples(TOKENS.filter(len), LABELS),
    ("values", "labels"): labelled(arrays(2), st.none() | LABELS),
    ("values", "values"): hnp.arrays(np.float64, (3, 1), elements=NUMBERS).flatmap(
        lambda array: st.tuples(st.just(array), hnp.arrays(np.float64, (3, 2), elements=NUMBERS | st.just(math.nan)))
    ),
}


def same(one, other):
    if isinstance(one, np.ndarray):
        # Of an empty list nobody knows how many channels it would have.
        return one.tobytes() == other.tobytes() and (one.shape == other.shape or not len(one))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("kinds", EXAMPLES, ids="-".join)
@a_few
@given(data=st.data())
def test_examples_are_read_as_they_were_written(kinds, data, tmp_path):
    examples = check_examples(data.draw(st.lists(EXAMPLES[kinds], max_size=4)), *kinds)
    write_examples(tmp_path / "examples", examples)
    read = read_examples(tmp_path / "examples", *kinds)
    assert len(read) == len(examples)
    for one, other in zip(examples, read):
        assert same(one[0], other[0])
        assert same(one[1], other[1])


@pytest.mark.parametrize("line", ["{", "[1]", "[[1]]", '[["a"], ["x"], []]', "7", "[[null], [1]]", '{"a": 1, "b": 2}'])
def test_a_damaged_line_of_examples_is_told(line, tmp_path):
    path = tmp_path / "examples"
    path.write_text('[["a"], ["x"]]\n' + line + "\n")
    with pytest.raises(seqlm.SeqlmError):
        read_examples(path, "tokens", "labels")


def test_empty_sequences_have_any_number_of_channels():
    for examples in ([([], []), ([[1.0, 2.0]], [[3.0, 4.0, 5.0]])], [([[1.0, 2.0]], [[3.0, 4.0, 5.0]]), ([], [])]):
        checked = check_examples(examples, "values", "values")
        assert sorted(len(values) for values, _ in checked) == [0, 1]
    with pytest.raises(seqlm.UsageError, match="sequence 3 has 1 channels, and sequence 2 has 2"):
        check_inputs([[], [[1.0, 2.0]], [1.0]], "values")


def through_json(codecs):
    return Codecs.from_json(json.loads(json.dumps(codecs.to_json())))


@a_few
@given(st.lists(labelled(TOKENS, st.none() | LABELS), min_size=1), st.booleans(), st.integers(1, 3))
def test_tokens_and_labels_mean_the_same_after_a_round_trip(examples, by_characters, min_count):
    examples = check_examples(examples, "tokens", "labels")
    known = {(type(label), label) for _, row in examples for label in row if label is not None}
    if len(known) < 2:
        with pytest.raises(seqlm.UsageError, match=r"empty|only label|no labels"):
            Codecs.from_examples(examples, "tokens", "labels")
        return
    codecs = Codecs.from_examples(examples, "tokens", "labels", min_count=min_count, by_characters=by_characters)
    again = through_json(codecs)
    assert again.to_json() == codecs.to_json()
    assert {(type(label), label) for label in again.outputs.labels} == known
    one, other = (EncodedSequences.of_examples(examples, "labels", e) for e in (codecs, again))
    for a, b in zip(
        [*one.inputs, *one.targets.values, *one.targets.counted],
        [*other.inputs, *other.targets.values, *other.targets.counted],
    ):
        np.testing.assert_array_equal(a, b)
    assert (one.spellings is None) == (other.spellings is None)
    for (_, labels), ids, counted in zip(examples, *one.targets):
        assert counted.tolist() == [label is not None for label in labels]
        assert same(codecs.outputs.decode(ids[counted]), [label for label in labels if label is not None])


def test_the_order_is_by_count_then_by_text_and_not_by_hash():
    labels = ["b", "a", "c", "c", 10, 9, "10", "9", "9"]
    wanted = ["9", "c", "10", 10, 9, "a", "b"]
    assert LabelCodec.from_labels(labels).labels == LabelCodec.from_labels(labels[::-1]).labels == wanted
    program = (
        "from seqlm_core.sequences.codecs import *;"
        "print(LabelCodec.from_labels({'b', 'a', 1, '1', 'x', 'yy'}).to_json(),"
        "TokenCodec.from_sequences([list({'b', 'a', '1', 'x', 'yy'})], 1, 0, True).to_json())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_what_was_not_trained_is_unknown():
    tokens = TokenCodec.from_sequences([["a", "b", "a", "c"], ["c", "a"]], 2, 0, by_characters=True)
    assert tokens.encode(["a", "b", "c", "?"]).tolist() == [1, 0, 2, 0]
    assert tokens.size == 3
    assert "b" in tokens.characters  # though the token itself is too rare
    assert TokenCodec.from_sequences([["a", "b"]], 5, 0, False).encode(["a", "b"]).tolist() == [1, 2]
    assert TokenCodec.from_sequences([["a", "b", "a"]], 1, 1, False).encode(["a", "b"]).tolist() == [1, 0]
    labels = LabelCodec.from_labels(["x", None, "y", "x"])
    assert labels.encode(["y", "x", None, "z", 1]).tolist() == [1, 0, *[UNKNOWN_LABEL] * 3]


def test_ints_and_texts_are_different_labels_and_the_same_token():
    labels = LabelCodec.from_labels([1, "1", 1])
    assert same(labels.labels, [1, "1"])
    assert labels.encode(["1", 1, True]).tolist() == [1, 0, 0]
    assert check_inputs([[1, "1", np.int8(1)]], "tokens") == [["1"] * 3]


@pytest.mark.parametrize("unknown", [None, "never seen"])
def test_targets_that_the_model_does_not_know_do_not_count(unknown):
    codecs = Codecs.from_examples([(["a", "b"], ["x", "y"])], "tokens", "labels")
    sequences = EncodedSequences.of_examples([(["b", "c"], ["y", unknown]), ([], [])], "labels", codecs)
    assert [known.tolist() for known in sequences.targets.counted] == [[True, False], []]
    assert (sequences.targets.predictions, sequences.unknown_tokens) == (1, 1)


@a_few
@given(
    hnp.arrays(np.float64, (7, 3), elements=st.integers(-99, 99) | st.just(math.nan)),
    st.integers(0, 7),
    st.sampled_from([1e-9, 0.1, 1e12]),
)
def test_values_are_standardized_channel_by_channel(values, cut, unit):
    values[0] = np.nan_to_num(values[0])  # something of each channel is there
    values *= [unit, 1, 1 / unit]
    codec = ValueCodec.from_sequences([values[:cut], values[:0], values[cut:]])
    again = ValueCodec.from_json(json.loads(json.dumps(codec.to_json())))
    assert (again.mean.tobytes(), again.scale.tobytes()) == (codec.mean.tobytes(), codec.scale.tobytes())
    standard = codec.encode(values)
    assert standard.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(standard), np.isnan(values))
    varies = np.nanmax(values, axis=0) > np.nanmin(values, axis=0)
    # A constant channel is told in its own units, so that large values are rounded by more.
    tolerance = 1e-6 + 1e-15 * np.nanmax(np.abs(values) / codec.scale, axis=0)
    assert (np.abs(np.nanmean(standard, axis=0)) < tolerance).all()
    assert (np.abs(np.nanstd(standard, axis=0) - varies) < tolerance).all()
    assert (np.nanmax(np.abs(codec.decode(standard) - values) / codec.scale, axis=0) < tolerance).all()


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e7, 1e-300])
@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_constant_channel_is_told_in_its_own_units(constant, count):
    codec = ValueCodec.from_sequences([np.full((count, 1), constant)])
    assert codec.scale.tolist() == [1]
    assert codec.encode(np.array([[constant], [constant + 2]])).ravel() == pytest.approx([0, 2], abs=1e-6)


def test_values_that_are_not_finite_numbers_are_told():
    with pytest.raises(seqlm.UsageError, match="sequence 2 has nan at time step 3"):
        check_inputs([[1.0], [1.0, 2.0, math.nan]], "values")
    with pytest.raises(seqlm.UsageError, match="example 1 has an infinite value at time step 2"):
        check_examples([([1.0, 2.0], [1.0, math.inf])], "values", "values")
    with pytest.raises(seqlm.UsageError, match="all of their values are nan"):
        Codecs.from_examples(check_examples([([1.0], [math.nan])], "values", "values"), "values", "values")


@pytest.mark.parametrize(
    ("text", "shape"),
    [("London", "Xxx"), ("IBM", "XX"), ("I", "X"), ("1,250.5", "d,dd.d"), ("U.S.", "X.X."), ("--", "--"), ("", ""),
     ("Ünal", "Xxx"), ("東京都", "xx"), ("McDonald", "XxXxx"), ("a\nb", "x\nx")],
)  # fmt: skip
def test_shapes_tell_capitals_digits_and_the_rest(text, shape):
    assert shape_of(text) == shape


def test_small_letters_are_for_the_whole_token_alone():
    codec = TokenCodec.from_sequences([["The", "the", "THE", "x"]], 2, 0, True, shapes=True, lowercase=True)
    assert codec.vocabulary.tokens == ["<unk>", "the"]
    assert codec.encode(["tHe", "y"]).tolist() == [1, 0]
    assert set(codec.characters.tokens[1:]) == set("TheTHEthex")
    assert codec.encode_columns(["The", "the", "tHe"])[0].tolist()[2] == 0
    assert TokenCodec.from_json(json.loads(json.dumps(codec.to_json()))).to_json() == codec.to_json()


def test_each_column_has_its_own_entries_and_unknown_ones_are_0():
    codec = TokenCodec.from_sequences([[("a", "N", "1"), ("b", "N", "2")], []], 1, 0, False)
    assert codec.column_sizes == (2, 3)
    assert [ids.tolist() for ids in codec.encode_columns([("a", "N", "2"), ("?", "V", "3")])] == [[1, 0], [2, 0]]
    assert [ids.tolist() for ids in codec.encode_columns([])] == [[], []]
