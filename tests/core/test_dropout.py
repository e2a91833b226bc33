"""Dropout masks: which share is dropped, where masks are locked, and what is left."""

from __future__ import annotations

import math

import numpy as np
import pytest

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import mx
from seqlm_core.engine.randomness import generator
from seqlm_core.model.inputs import EmbeddingInput
from seqlm_core.training.dropout import DropoutMasks, draw_kept

TIME, STREAMS = 50, 32


class Network:
    """What masks need to know of a network that reads vectors of 8 numbers."""

    dtype = "float32"
    device = mx.cpu()

    def __init__(self):
        self.input = EmbeddingInput(vocabulary_size=30, embedding_size=8)


def draw(step=0, sizes=(8, 16, 300), tokens=None, has_table=False, **rates):
    settings = seqlm.LanguageSettings(dropout=0.0, **rates)
    masks = DropoutMasks(Network(), sizes, settings).draw(step, "dropout", tokens, (TIME, STREAMS), has_table)
    return None if masks is None else [None if mask is None else mask.asnumpy() for mask in masks]


def tokens_read():
    return np.random.default_rng(1).integers(0, 30, (TIME, STREAMS)).astype(np.int32)


@pytest.mark.parametrize("rate", [1e-5, 1 / 256, 0.0041, 0.1, 0.25, 0.3, 0.5, 255 / 256, 0.999])
def test_the_share_that_is_dropped_is_the_one_asked_for(rate):
    count = 4_000_001  # no whole number of words
    kept = draw_kept((count,), rate, generator(1, 0, "test of dropout"))
    assert kept.dtype == bool
    assert abs((~kept).mean() - rate) < 5 * math.sqrt(rate * (1 - rate) / count)


def test_elements_are_dropped_independently_of_their_neighbours():
    kept = draw_kept((1000, 4000), 0.3, generator(1, 0, "test of dropout"))
    for distance in (1, 2, 4, 8, 4000):
        both = (kept.ravel()[distance:] & kept.ravel()[:-distance]).mean()
        assert both == pytest.approx(0.7 * 0.7, abs=5 * 0.5 / 2000)
    assert kept.mean(axis=0).min() > 0.7 - 6 * 0.46 / math.sqrt(1000)


@pytest.mark.parametrize("form", ["locked", "per-element"])
@pytest.mark.parametrize("rate", [0.01, 0.3, 0.75])
def test_masks_have_the_mean_1_and_the_shapes_asked_for(rate, form):
    of_tokens, of_inputs, lower, upper = draw(output_dropout=rate, input_dropout=rate, dropout_masks=form)
    assert of_tokens is None
    assert lower is None
    assert (of_inputs.shape, upper.shape) == ((TIME, STREAMS, 8), (TIME, STREAMS, 300))
    drawn = upper[:1] if form == "locked" else upper
    assert set(np.unique(upper)) == {0, np.float32(1 / (1 - rate))}
    assert drawn.mean() == pytest.approx(1, abs=5 * math.sqrt(rate / (1 - rate) / drawn.size))


def test_a_locked_mask_is_the_same_at_all_time_steps_and_differs_by_stream():
    *_, mask = draw(output_dropout=0.5)
    assert (mask == mask[0]).all()
    assert (mask[0, 0] == mask[0, 1]).mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(300))
    *_, other = draw(output_dropout=0.5, dropout_masks="per-element")
    assert (other[0] == other[1]).mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(300 * STREAMS))


def test_each_mask_has_the_rate_of_its_place():
    _, of_inputs, lower, middle, upper = draw(
        sizes=(2000, 2000, 2000, 2000), input_dropout=0.1, layer_dropout=0.3, output_dropout=0.6
    )
    dropped = [(mask == 0).mean() for mask in (of_inputs, lower, middle, upper)]
    assert dropped == pytest.approx([0.1, 0.3, 0.3, 0.6], abs=0.02)


def test_masks_are_the_same_for_the_same_step_and_differ_otherwise():
    def mask(step, place=2):
        return draw(step, sizes=(16, 16, 16), layer_dropout=0.5, output_dropout=0.5)[place][0]

    np.testing.assert_array_equal(mask(3), mask(3))
    for other in (mask(4), mask(3, 3)):
        assert (mask(3) == other).mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(other.size))


def test_a_dropped_token_is_dropped_wherever_it_stands():
    tokens = tokens_read()
    _, of_inputs, *_ = draw(tokens=tokens, embedding_dropout=0.3)
    dropped = {token for token in range(30) if not of_inputs[tokens == token].any()}
    assert 2 <= len(dropped) <= 18
    kept = of_inputs[~np.isin(tokens, list(dropped))]
    np.testing.assert_array_equal(kept, np.full_like(kept, np.float32(1 / 0.7)))


def test_dropped_tokens_are_the_same_in_a_table_of_all_tokens():
    tokens = tokens_read()
    table, of_inputs, *_ = draw(tokens=tokens, embedding_dropout=0.3, has_table=True)
    assert of_inputs is None
    assert table.shape == (30, 8)
    np.testing.assert_array_equal(table[tokens], draw(tokens=tokens, embedding_dropout=0.3)[1])


def test_inputs_with_a_mask_of_their_own_lose_the_dropped_tokens_too():
    tokens = tokens_read()
    rates = {"tokens": tokens, "embedding_dropout": 0.3, "has_table": True}
    of_tokens, both, *_ = draw(**rates, input_dropout=0.5)
    assert of_tokens is None
    assert (both == 0).mean() == pytest.approx(1 - 0.7 * 0.5, abs=0.2)
    assert set(np.unique(both)) == {0, np.float32(1 / 0.7) * 2}


def test_without_a_rate_there_are_no_masks():
    assert draw(tokens=tokens_read()) is None


def test_the_generator_of_a_step_is_philox_at_a_counter_of_its_own():
    import hashlib

    for seed, step in [(0, 0), (1, 7), (2**64 - 1, 2**63 + 5)]:
        digest = hashlib.blake2b(b"purpose", digest_size=8).digest()
        key = np.array([seed, int.from_bytes(digest, "little")], dtype=np.uint64)
        philox = np.random.Philox(key=key, counter=np.array([0, 0, 0, step], dtype=np.uint64))
        expected = np.random.Generator(philox)
        drawn = generator(seed, step, "purpose")
        np.testing.assert_array_equal(drawn.random(9), expected.random(9))
        np.testing.assert_array_equal(drawn.integers(0, 9, 9), expected.integers(0, 9, 9))
