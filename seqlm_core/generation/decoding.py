"""Decoding: rules turn log-probabilities into weights, and a token is drawn by these weights."""

from __future__ import annotations

import numpy as np

from seqlm_core.reading.vocabulary import UNKNOWN_ID
from seqlm_core.settings.decoding_rules import DecodingRules

# Already at this temperature only the most probable tokens have a weight above 0. Dividing by less might overflow.
LOWEST_TEMPERATURE = 1e-290


def token_weights(rules: DecodingRules, log_probabilities: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
    """Return the weights ``(rows, vocabulary)`` to draw tokens by; a token's probability is proportional to its weight.

    Args:
        rules: the decoding rules.
        log_probabilities: the model's log-probabilities in nats, float64 ``(rows, vocabulary)``.
        seen: whether a token is in the text already, bool ``(rows, vocabulary)``; needed for a repetition penalty.
    """
    scores = log_probabilities
    if rules.repetition_penalty != 1 and seen is not None:
        scores = np.where(seen, scores * rules.repetition_penalty, scores)
    highest = scores[:, UNKNOWN_ID + 1 :].max(axis=1, keepdims=True)
    if rules.temperature == 0:
        weights = (scores == highest).astype(np.float64)
        weights[:, UNKNOWN_ID] = 0
        first = weights.argmax(axis=1)
        weights[:] = 0
        weights[np.arange(len(weights)), first] = 1
        return weights
    scores = scores - highest
    scores[:, UNKNOWN_ID] = -np.inf
    if rules.temperature != 1:
        scores /= max(rules.temperature, LOWEST_TEMPERATURE)
    weights = np.exp(scores)
    if rules.top_k:
        _keep_largest(weights, np.full(len(weights), min(rules.top_k, weights.shape[1])))
    if rules.top_p < 1:
        ranked = -np.sort(-weights, axis=1)
        share = np.cumsum(ranked, axis=1) / ranked.sum(axis=1, keepdims=True)
        # The last share is left out: it is 1 up to rounding, so the comparison might fail, while all may be needed.
        _keep_largest(weights, 1 + (share[:, :-1] < rules.top_p).sum(axis=1))
    if rules.min_p:
        weights[weights < rules.min_p * weights.max(axis=1, keepdims=True)] = 0
    return weights


def draw(weights: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Return a token id for each row, drawn by weights ``(rows, vocabulary)``.

    Args:
        weights: at least 0, and not all 0 in any row.
        uniforms: a random number for each row, at least 0 and below 1.
    """
    cumulative = weights.cumsum(axis=1)
    # A token of weight 0 is never drawn, since its cumulative weight is that of the token before it. The thresholds are
    # below the last cumulative weight, so that rounding cannot lead past the last token with a weight above 0.
    thresholds = np.minimum(uniforms * cumulative[:, -1], np.nextafter(cumulative[:, -1], 0))
    return (cumulative > thresholds[:, None]).argmax(axis=1)


def _keep_largest(weights: np.ndarray, counts: np.ndarray) -> None:
    """Set all but the ``counts`` largest weights of each row to 0, in place; weights equal to the smallest are kept."""
    ranked = -np.sort(-weights, axis=1)
    weights[weights < ranked[np.arange(len(weights)), counts - 1][:, None]] = 0
