"""Label sequences under a linear chain, beside an enumeration of all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlm_core.sequences.label_chains import LabelChain


def drawn(seed, labels, lengths, forbidden=0.0):
    random = np.random.default_rng(seed)

    def numbers(*shape):
        array = 3 * random.normal(size=shape)
        return np.where(random.random(shape) < forbidden, -np.inf, array)

    chain = LabelChain(numbers(labels), numbers(labels, labels), numbers(labels))
    return chain, [random.normal(size=(length, labels)) for length in lengths]


def all_scores(chain, scores):
    """Return every label sequence with its score."""
    found = {}
    for ids in itertools.product(range(len(chain.first)), repeat=len(scores)):
        score = chain.first[ids[0]] + chain.last[ids[-1]]
        score += sum(scores[t, label] for t, label in enumerate(ids))
        score += sum(chain.transitions[pair] for pair in zip(ids, ids[1:]))
        found[ids] = score
    return found


CASES = st.tuples(
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.sampled_from([0.0, 0.2]),
)


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_probabilities_are_those_of_an_enumeration(case):
    chain, scores = drawn(*case)
    found, normalizers = chain.marginals(scores), chain.log_normalizers(scores)
    for own, normalizer, marginals in zip(scores, normalizers, found):
        every = all_scores(chain, own)
        total = sum(np.exp(score) for score in every.values())
        if total == 0:
            assert normalizer == -np.inf
            continue
        np.testing.assert_allclose(normalizer, np.log(total), rtol=1e-9, atol=1e-9)
        expected = np.zeros(own.shape)
        for ids, score in every.items():
            expected[np.arange(len(ids)), ids] += np.exp(score) / total
        np.testing.assert_allclose(marginals, expected, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(CASES, st.integers(1, 7))
def test_the_best_sequences_are_those_of_an_enumeration(case, count):
    chain, scores = drawn(*case)
    for own, ids, best in zip(scores, chain.best(scores), chain.n_best(scores, count)):
        every = sorted(((score, ids) for ids, score in all_scores(chain, own).items() if score > -np.inf), reverse=True)
        assert [tuple(found.ids) for found in best] == [ids for _, ids in every[:count]]
        if every:
            assert tuple(ids) == every[0][1]
            total = np.log(sum(np.exp(score) for score, _ in every))
            expected = [score - total for score, _ in every[:count]]
            np.testing.assert_allclose([found.log_probability for found in best], expected, atol=1e-9)


def test_an_unknown_label_is_any_label():
    chain, (scores,) = drawn(1, 3, [4])
    known = np.array([2, -1, 0, -1])
    every = all_scores(chain, scores)
    total = sum(np.exp(score) for score in every.values())
    fitting = sum(np.exp(score) for ids, score in every.items() if ids[0] == 2 and ids[2] == 0)
    np.testing.assert_allclose(chain.log_probabilities([scores], [known]), np.log(fitting / total), rtol=1e-9)


def test_independent_labels_are_those_of_a_softmax():
    chain, scores = LabelChain.independent(4), drawn(2, 4, [3, 1])[1]
    for own, marginals, best in zip(scores, chain.marginals(scores), chain.best(scores)):
        shares = np.exp(own)
        np.testing.assert_allclose(marginals, shares / shares.sum(axis=1, keepdims=True), rtol=1e-9)
        np.testing.assert_array_equal(best, own.argmax(axis=1))


def test_empty_sequences_have_one_labelling():
    chain, scores = drawn(3, 2, [0, 3, 0])
    assert chain.log_normalizers(scores)[[0, 2]].tolist() == [0, 0]
    assert [len(ids) for ids in chain.best(scores)] == [0, 3, 0]
    assert [len(best) for best in chain.n_best(scores, 2)] == [1, 2, 1]
    assert chain.marginals(scores)[0].shape == (0, 2)


def test_scores_of_any_size_are_finite():
    chain, (scores,) = drawn(4, 3, [50])
    for size in (1e-3, 1e3, 1e6):
        scaled = LabelChain(size * chain.first, size * chain.transitions, size * chain.last)
        assert np.isfinite(scaled.log_normalizers([size * scores])).all()
        np.testing.assert_allclose(scaled.marginals([size * scores])[0].sum(axis=1), 1, rtol=1e-6)


def test_chains_add_up():
    chain, (scores,) = drawn(5, 3, [4])
    twice = chain + chain
    ids = chain.best([scores])[0]
    every, doubled = all_scores(chain, scores), all_scores(twice, scores)
    assert doubled[tuple(ids)] - every[tuple(ids)] == pytest.approx(every[tuple(ids)] - scores[range(4), ids].sum())
