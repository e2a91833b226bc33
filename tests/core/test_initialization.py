"""Initial weights of recurrent layers: orthogonal, and the same whatever signs singular vectors have."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.model.initialization import GateOrthogonal, closest_orthogonal, initialize

SVD = np.linalg.svd


def initial_weights(shape, gates, seed=1):
    block = gluon.nn.HybridSequential()
    block.weight = block.params.get("weight", shape=shape, init=GateOrthogonal(gates))
    initialize(block, seed, mx.cpu())
    return block.weight.data().asnumpy()


def other_signs(matrix, **arguments):
    """Return singular vectors of other signs, which are as right."""
    left, values, right = SVD(matrix, **arguments)
    signs = np.where(np.arange(len(values)) % 3 == 1, -1, 1)
    np.testing.assert_allclose((left * signs * values) @ (signs[:, None] * right), matrix, atol=1e-6)
    return left * signs, values, signs[:, None] * right


@pytest.mark.parametrize(("rows", "columns", "gates"), [(12, 4, 3), (100, 25, 4), (64, 64, 1), (12, 5, 2)])
def test_initial_weights_are_the_same_on_either_sign_of_the_singular_vectors(rows, columns, gates, monkeypatch):
    found = initial_weights((rows, columns), gates)
    monkeypatch.setattr("numpy.linalg.svd", other_signs)
    np.testing.assert_array_equal(initial_weights((rows, columns), gates), found)


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (6, 4), (4, 6), (1, 1)])
def test_the_closest_orthogonal_matrix_is_the_polar_factor(rows, columns):
    matrix = np.random.RandomState(3).uniform(-1, 1, (rows, columns))
    found = closest_orthogonal(matrix)
    short = found.T @ found if rows >= columns else found @ found.T
    np.testing.assert_allclose(short, np.eye(min(rows, columns)), atol=1e-12)
    # Of a polar decomposition the other factor is symmetric and has no negative eigenvalue.
    stretch = found.T @ matrix if rows >= columns else matrix @ found.T
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-12)
    assert np.linalg.eigvalsh(stretch).min() > 0


def test_each_gate_has_a_matrix_of_its_own_that_depends_on_the_seed():
    first = initial_weights((24, 8), 3).reshape(3, 8, 8)
    for gate in first:
        np.testing.assert_allclose(gate @ gate.T, np.eye(8), atol=1e-6)
    assert np.abs(first[0] - first[1]).max() > 0.1
    assert np.abs(first - initial_weights((24, 8), 3, seed=2).reshape(3, 8, 8)).max() > 0.1
    np.testing.assert_array_equal(first, initial_weights((24, 8), 3).reshape(3, 8, 8))
