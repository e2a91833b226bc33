"""Decoding rules: which of the tokens that a model predicts may come, and how probable each is made."""

from __future__ import annotations

import dataclasses

import numpy as np

from seqlm_core.errors import SettingError
from seqlm_core.reading.vocabulary import UNKNOWN_ID
from seqlm_core.settings.arguments import check_argument

DEFAULT_TEMPERATURE = 0.5
# Below this, all but the most probable tokens have a weight of 0, and dividing by less might overflow.
LOWEST_TEMPERATURE = 1e-290
# Above this, a token of any probability but nearly 1 never comes again; the log-probabilities could overflow.
HIGHEST_REPETITION_PENALTY = 1000.0


@dataclasses.dataclass(frozen=True)
class DecodingRules:
    """Rules for drawing tokens, applied in the order of these attributes; ``<unk>`` is never drawn.

    Attributes:
        repetition_penalty: multiplies the log-probability of every token that is in the text already (after Keskar et
            al. 2019); above 1 it makes them less probable.
        temperature: divides the log-probabilities; 0 takes the most probable token.
        top_k: keeps the k most probable tokens, and those that are as probable as the last of them; 0 keeps all.
        top_p: keeps the fewest most probable tokens whose probabilities add up to it (Holtzman et al. 2020).
        min_p: keeps tokens that are at least so probable as a share of the most probable one (Nguyen et al. 2024).
    """

    repetition_penalty: float = 1.0
    temperature: float = DEFAULT_TEMPERATURE
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_argument(field.name, getattr(self, field.name), int if field.name == "top_k" else float)
        if not 0 < self.repetition_penalty <= HIGHEST_REPETITION_PENALTY:
            limits = f"above 0 and at most {HIGHEST_REPETITION_PENALTY:g}"
            raise SettingError("repetition_penalty", f"must be {limits}, not {self.repetition_penalty}")
        if not 0 <= self.temperature < float("inf"):
            raise SettingError("temperature", f"must be a number of at least 0, not {self.temperature}")
        if self.top_k < 0:
            raise SettingError("top_k", f"must be at least 0, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise SettingError("top_p", f"must be above 0 and at most 1, not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise SettingError("min_p", f"must be from 0 to 1, not {self.min_p}")

    def weights(self, log_probabilities: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
        """Return weights to draw tokens by, ``(rows, vocabulary)``: in proportion to their probabilities.

        Args:
            log_probabilities: of the model, float64 ``(rows, vocabulary)`` in nats.
            seen: which tokens are in the text already, bool of that shape; needed for a repetition penalty.
        """
        scores = log_probabilities
        if self.repetition_penalty != 1 and seen is not None:
            scores = np.where(seen, scores * self.repetition_penalty, scores)
        highest = scores[:, UNKNOWN_ID + 1 :].max(axis=1, keepdims=True)
        if self.temperature == 0:
            weights = (scores == highest).astype(np.float64)
            weights[:, UNKNOWN_ID] = 0
            first = weights.argmax(axis=1)
            weights[:] = 0
            weights[np.arange(len(weights)), first] = 1
            return weights
        scores = scores - highest
        scores[:, UNKNOWN_ID] = -np.inf
        if self.temperature != 1:
            scores /= max(self.temperature, LOWEST_TEMPERATURE)
        weights = np.exp(scores)
        if self.top_k:
            _keep_largest(weights, np.full(len(weights), min(self.top_k, weights.shape[1])))
        if self.top_p < 1:
            ranked = -np.sort(-weights, axis=1)
            share = np.cumsum(ranked, axis=1) / ranked.sum(axis=1, keepdims=True)
            # The last share is 1 but for rounding, and all of them may be needed.
            _keep_largest(weights, 1 + (share[:, :-1] < self.top_p).sum(axis=1))
        if self.min_p:
            weights[weights < self.min_p * weights.max(axis=1, keepdims=True)] = 0
        return weights


def draw(weights: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Return a token id for each row, drawn by weights ``(rows, vocabulary)``.

    Args:
        weights: at least 0, and not all 0 in any row.
        uniforms: a random number from 0 to below 1 for each row.
    """
    cumulative = weights.cumsum(axis=1)
    # A token of weight 0 is passed over, since its cumulative weight is that of the token before it. The last token of
    # weight above 0 is reached by all that is left, whatever the rounding.
    thresholds = np.minimum(uniforms * cumulative[:, -1], np.nextafter(cumulative[:, -1], 0))
    return (cumulative > thresholds[:, None]).argmax(axis=1)


def _keep_largest(weights: np.ndarray, counts: np.ndarray) -> None:
    """Set all but the ``counts`` largest weights of each row to 0, in place; what equals the last of them is kept."""
    ranked = -np.sort(-weights, axis=1)
    weights[weights < ranked[np.arange(len(weights)), counts - 1][:, None]] = 0
