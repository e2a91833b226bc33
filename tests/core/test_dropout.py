"""Dropout masks: which share is dropped, and what is left."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqlm_core.engine.randomness import generator
from seqlm_core.training.dropout import draw_kept, dropout_masks


class Model:
    dtype = "float32"

    @property
    def device(self):
        from seqlm_core.engine.mxnet import mx

        return mx.cpu()


def random(step=0):
    return generator(1, step, "test of dropout")


@pytest.mark.parametrize("rate", [1e-5, 1 / 256, 0.0041, 0.1, 0.25, 0.3, 0.5, 255 / 256, 0.999])
def test_the_share_that_is_dropped_is_the_one_asked_for(rate):
    count = 4_000_001  # no whole number of words
    kept = draw_kept((count,), rate, random())
    assert kept.dtype == bool
    assert abs((~kept).mean() - rate) < 5 * math.sqrt(rate * (1 - rate) / count)


def test_elements_are_dropped_independently_of_their_neighbours():
    kept = draw_kept((1000, 4000), 0.3, random())
    for distance in (1, 2, 4, 8, 4000):
        both = (kept.ravel()[distance:] & kept.ravel()[:-distance]).mean()
        assert both == pytest.approx(0.7 * 0.7, abs=5 * 0.5 / 2000)
    assert kept.mean(axis=0).min() > 0.7 - 6 * 0.46 / math.sqrt(1000)


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.75])
def test_masks_have_the_mean_1_and_the_shapes_asked_for(rate):
    masks = dropout_masks(Model(), [8, 300], rate, (50, 32), random())
    assert [mask.shape for mask in masks] == [(50, 32, 8), (50, 32, 300)]
    values = masks[1].asnumpy()
    assert set(np.unique(values)) == {0, np.float32(1 / (1 - rate))}
    assert values.mean() == pytest.approx(1, abs=5 * math.sqrt(rate / (1 - rate) / values.size))


def test_masks_are_the_same_for_the_same_step_and_differ_otherwise():
    def mask(step, place=0):
        return dropout_masks(Model(), [16, 16], 0.5, (20, 8), random(step))[place].asnumpy()

    np.testing.assert_array_equal(mask(3), mask(3))
    for other in (mask(4), mask(3, 1)):
        assert (mask(3) == other).mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(other.size))


def test_without_a_rate_there_are_no_masks():
    assert dropout_masks(Model(), [16], 0.0, (20, 8), random()) is None


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
