"""Weights with 8 bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from seqlm_core.storage.quantization import dequantize, quantize

MATRICES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9),
    elements=st.floats(-(2.0**66), 2.0**66, width=32, allow_subnormal=False),
)


@given(MATRICES)
def test_no_weight_is_off_by_more_than_half_a_scale(matrix: np.ndarray) -> None:
    values, scales = quantize(matrix)
    assert values.dtype == np.int8
    assert scales.shape == matrix.shape[:1]
    error = np.abs(dequantize(values, scales).astype(np.float64) - matrix)
    assert np.all(error <= 0.5001 * scales.astype(np.float64)[:, None])


@given(MATRICES)
def test_a_matrix_and_its_negative_are_rounded_alike(matrix: np.ndarray) -> None:
    values, scales = quantize(matrix)
    opposite, same = quantize(-matrix)
    np.testing.assert_array_equal(values, -opposite)
    np.testing.assert_array_equal(scales, same)


def test_a_row_of_zeros_stays_one() -> None:
    values, scales = quantize(np.zeros((2, 3)))
    np.testing.assert_array_equal(dequantize(values, scales), np.zeros((2, 3)))


def test_the_scale_of_a_row_is_its_own() -> None:
    values, scales = quantize(np.array([[127.0, -1.0], [0.5, 0.25]]))
    np.testing.assert_array_equal(values, [[127, -1], [127, 64]])
    np.testing.assert_allclose(scales, [1.0, 0.5 / 127])
