"""Batches of sequences of unequal length: each sequence once, little padding, few shapes, and an order by the seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_reference import encoded

from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.sequences.batches import (
    Batch,
    TrainingBatches,
    batches_in_order,
    group_by_length,
)
from seqlm_core.sequences.encoded_sequences import LONGEST_SPELLING, EncodedSequences, EncodedTargets, Spellings
from seqlm_core.sequences.token_codec import TokenCodec

LENGTHS = st.lists(st.integers(0, 12) | st.integers(0, 300), max_size=60)
BATCH_SIZES = st.integers(1, 9)


def sequences_of(lengths, counting=None):
    """Return sequences whose tokens and targets tell them apart; those not ``counting`` have no target that counts."""
    counting = [True] * len(lengths) if counting is None else counting
    tokens = [np.full(length, number, np.int32) for number, length in enumerate(lengths)]
    counted = [np.full(length, counts) for length, counts in zip(lengths, counting)]
    return EncodedSequences(tokens, EncodedTargets(tokens, counted))


def assert_holds_its_sequences(batch, sequences, batch_size):
    time, columns = batch.shape
    assert 0 < len(batch.indices) <= columns <= batch_size
    assert batch.lengths.shape == (columns,)
    assert batch.lengths.min() >= 1
    for column, index in enumerate(batch.indices):
        length = len(sequences.inputs[index])
        assert batch.lengths[column] == length <= time
        np.testing.assert_array_equal(batch.inputs[0][:length, column], sequences.inputs[index])
        np.testing.assert_array_equal(batch.targets[:length, column], sequences.targets.values[index])
        np.testing.assert_array_equal(batch.counted[:length, column], sequences.targets.counted[index])
    assert batch.predictions == sum(sequences.targets.counted[index].sum() for index in batch.indices)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, BATCH_SIZES, st.integers(0, 3))
def test_an_epoch_has_each_sequence_of_which_something_counts_once(lengths, batch_size, epoch):
    sequences = sequences_of(lengths, counting=[number % 5 > 0 for number in range(len(lengths))])
    training = TrainingBatches(sequences, batch_size)
    batches = list(training.read(seed=1, epoch=epoch))
    assert len(batches) == len(training)
    for batch in batches:
        assert_holds_its_sequences(batch, sequences, batch_size)
    seen = sorted(index for batch in batches for index in batch.indices)
    assert seen == [number for number, length in enumerate(lengths) if length and number % 5]


@settings(max_examples=60, deadline=None)
@given(LENGTHS, BATCH_SIZES)
def test_reading_in_order_has_each_sequence_once_but_for_empty_ones(lengths, batch_size):
    sequences = sequences_of(lengths)
    batches = list(batches_in_order(sequences, batch_size))
    for batch in batches:
        assert_holds_its_sequences(batch, sequences, batch_size)
    seen = [index for batch in batches for index in batch.indices]
    assert sorted(seen) == np.flatnonzero(lengths).tolist()
    assert len({batch.shape for batch in batches}) <= most_groups(max(lengths, default=0))


@settings(max_examples=200, deadline=None)
@given(LENGTHS, BATCH_SIZES)
def test_little_is_padded(lengths, batch_size):
    """All but ``batch_size - 1`` sequences of a group, which were too few for one, are padded by at most a quarter."""
    lengths = np.array(lengths, dtype=int)
    groups = group_by_length(lengths, batch_size)
    assert sorted(index for group in groups for index in group.indices) == np.flatnonzero(lengths).tolist()
    for group in groups:
        own = lengths[group.indices]
        assert max(own) <= group.time <= lengths.max()
        assert np.count_nonzero(group.time > np.maximum(8, np.ceil(1.25 * own))) < batch_size
    assert all(len(group.indices) >= batch_size for group in groups[:-1])
    assert len(groups) <= most_groups(lengths.max(initial=0))


def most_groups(longest):
    return 1 + math.ceil(max(0, math.log(max(1, longest) / 8, 1.25)))


@settings(max_examples=60, deadline=None)
@given(LENGTHS, BATCH_SIZES)
def test_hardly_any_columns_are_wasted(lengths, batch_size):
    training = TrainingBatches(sequences_of(lengths), batch_size)
    wasted = sum(batch.shape[1] - len(batch.indices) for batch in training.read(seed=1, epoch=0))
    assert wasted < max(1, len(training))


MANY = [1, 3, 3, 4, 5, 7, 8, 9, 9, 10, 12, 15, 18, 18, 25, 40] * 3


def order_of(seed, epoch, first=0):
    return [batch.indices.tolist() for batch in TrainingBatches(sequences_of(MANY), 4).read(seed, epoch, first)]


def test_the_order_is_drawn_anew_for_each_epoch_and_depends_on_the_seed_alone():
    assert order_of(1, 0) == order_of(1, 0)
    orders = [order_of(seed, epoch) for seed in (1, 2) for epoch in range(3)]
    assert len({str(order) for order in orders}) == 6
    assert len({str(sorted(map(sorted, order))) for order in orders}) == 6  # the company differs too
    assert len({len(order) for order in orders}) == 1


def test_batches_of_different_lengths_come_mixed():
    times = [batch.shape[0] for batch in TrainingBatches(sequences_of(MANY), 4).read(seed=1, epoch=0)]
    assert times not in (sorted(times), sorted(times, reverse=True))


@pytest.mark.parametrize("first", [0, 1, 5, 100])
def test_an_epoch_goes_on_where_it_was_left(first):
    assert order_of(3, 2, first) == order_of(3, 2)[first:]


def test_the_shapes_of_all_epochs_are_those_of_the_first():
    training = TrainingBatches(sequences_of(MANY), 4)
    shapes = [sorted(batch.shape for batch in training.read(seed=1, epoch=epoch)) for epoch in range(4)]
    assert shapes == [shapes[0]] * 4
    assert len(set(shapes[0])) == len(training.groups)


@pytest.mark.parametrize("outputs", ["label", "values"])
@pytest.mark.parametrize("inputs", ["values", "spelt"])
def test_a_batch_is_padded_with_zeros_that_do_not_count(inputs, outputs):
    sequences = encoded(inputs, outputs)
    batch = Batch.of(sequences, np.array([2, 0]), time=6, columns=4)
    assert batch.lengths.tolist() == [5, 3, 1, 1]
    assert batch.shape == (6, 4)
    assert not batch.inputs[0][5:].any()
    assert not batch.inputs[0][3:, 1].any()
    assert not batch.inputs[0][:, 2:].any()
    counted = batch.counted if outputs == "label" else batch.counted.T
    assert [row.sum() for row in counted] == ([1, 1, 0, 0] if outputs == "label" else [4, 2, 0, 0])
    if inputs == "spelt":
        _, characters, counts = batch.inputs
        assert characters.shape == (6, 4, LONGEST_SPELLING)
        for column, index in enumerate(batch.indices):
            spelt = sequences.spellings.tokens[index]
            np.testing.assert_array_equal(characters[: len(spelt), column], sequences.spellings.characters[spelt])
            np.testing.assert_array_equal(counts[: len(spelt), column], sequences.spellings.counts[spelt])


def test_of_a_long_token_the_beginning_and_the_end_are_read():
    letters = "abcdefghijklmnopqrst"
    codec = TokenCodec(Vocabulary(["a"], [0, 1]), Vocabulary(list(letters), [0] + [1] * 20))
    tokens = ["abcdefghijklmnopq", "abcdefgh" + "t" * 50 + "jklmnopq", "abc", "a?", "", "abcdefghijklmnop"]
    spellings = Spellings.of([tokens, tokens[::-1]], codec)
    spelt = ["abcdefghjklmnopq", "abcdefghjklmnopq", "abc", "a?", "", "abcdefghijklmnop"]
    assert spellings.counts.tolist() == [16, 16, 3, 2, 1, 16]
    for row, text in zip(spellings.characters, spelt):
        assert row.tolist() == [letters.find(c) + 1 for c in text] + [0] * (16 - len(text))
    assert [row.tolist() for row in spellings.tokens] == [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]]
