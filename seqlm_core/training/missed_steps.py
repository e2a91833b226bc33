"""What steps would have done to rows of an embedding that they did not read, computed when a row is read again.

A row that is not read has a gradient of zero. An optimizer changes it all the same: momentum moves it on, its states
fade, and weight decay shrinks it. All of this is in proportion to the weights and to one array that is made of the
states, so a few factors for each row are enough, however many steps it has missed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import nd
from seqlm_core.training.update_rules import UpdateRule, update_rule

MOST_STEPS = 1000
"""The most steps that rows can miss. After so many all rows have to be brought up to date."""


class Coasting:
    """How an optimizer goes on to change weights whose gradient is zero.

    ``n`` steps after the last gradient, ``m`` is ``mean_decay ** n`` times what it was, and ``v`` is
    ``square_decay ** n`` times; a step moves the weights by ``first * fading ** n * direction(states)``. With ``adam``,
    that is as if epsilon fell with the root of ``v``.

    Args:
        rule: the rule of the optimizer; None if it is not known: then weights and states stay as they are.
    """

    def __init__(self, rule: UpdateRule | None) -> None:
        self.rule = rule
        decays = {} if rule is None else {"m": rule.mean_decay, "v": rule.square_decay}
        self.state_decays = [] if rule is None else [decays[name] for name in rule.states]
        self.moves = rule is not None and "m" in rule.states
        self.fading = rule.mean_decay if rule is not None else 0.0
        if rule is not None and rule.name == "adam":
            self.fading /= math.sqrt(rule.square_decay)

    def first(self, learning_rate: float, step: int) -> float:
        """Return the factor of the direction in a step."""
        rule = self.rule
        if rule is None or not self.moves:
            return 0.0
        if rule.name == "adam":
            return -learning_rate * rule.bias_correction(step)
        return rule.mean_decay if rule.name == "nesterov" else 1.0

    def direction(self, states: list[Any]) -> Any:
        """Return the direction in which the weights move, of the shape of the states."""
        if self.rule is not None and self.rule.name == "adam":
            mean, square = states
            root = nd.sqrt(square)
            root += self.rule.epsilon
            return mean / root
        return states[0].copy()


def coasting_rule(optimizer: Any, parameters: Sequence[Any] = ()) -> UpdateRule | None:
    """Return the rule of an optimizer if what it does to weights without a gradient can be made up for, else None."""
    rule = update_rule(optimizer, parameters)
    if rule is None or optimizer.wd:  # a weight decay that is added to gradients, so that none is zero
        return None
    # With other constants Adam's steps grow when there is no gradient.
    return None if rule.name == "adam" and rule.mean_decay**2 >= rule.square_decay else rule


class MissedSteps:
    """The steps that each row has missed, as factors.

    Args:
        rows: the number of rows.
        coasting: what a step does to a row that it does not read.

    Attributes:
        steps: the number of steps since all rows were up to date, at most :data:`MOST_STEPS`.
    """

    def __init__(self, rows: int, coasting: Coasting) -> None:
        self.coasting = coasting
        self._up_to = np.zeros(rows, np.int32)  # the last of these steps after which a row was up to date
        # For a row that was up to date after step n, n is the index:
        self._kept = np.ones(MOST_STEPS + 1)  # the factor of its weights
        self._moved = np.zeros(MOST_STEPS + 1)  # the factor of the direction, added to the weights
        self.steps = 0

    def add_step(self, rows: np.ndarray, kept: float, learning_rate: float, step: int) -> None:
        """Count a step.

        Args:
            rows: the rows that were read; they are up to date.
            kept: the share of the weights that weight decay has left.
            learning_rate: the learning rate.
            step: the number of steps since the beginning of the training, this one included.
        """
        self.steps += 1
        missed = self.steps - np.arange(self.steps)
        self._kept[: self.steps] *= kept
        self._moved[: self.steps] *= kept
        self._moved[: self.steps] += self.coasting.first(learning_rate, step) * self.coasting.fading**missed
        self._up_to[rows] = self.steps

    def make_up(self, rows: Any, weights: Any, states: list[Any]) -> None:
        """Bring rows up to date, in place.

        Args:
            rows: their numbers, int ``(rows,)``, or a slice.
            weights: their weights ``(rows, embedding)``.
            states: their states, of the same shape.
        """
        up_to = self._up_to[rows]
        factors = [self._kept[up_to], self._moved[up_to]]
        factors += [decay ** (self.steps - up_to) for decay in self.coasting.state_decays]
        kept, moved, *fading = array_of(np.stack(factors)[:, :, None], weights.dtype, weights.context)
        nd.broadcast_mul(weights, kept, out=weights)
        if self.coasting.moves:
            movement = self.coasting.direction(states)
            nd.broadcast_mul(movement, moved, out=movement)
            weights += movement
        for state, factor in zip(states, fading):
            nd.broadcast_mul(state, factor, out=state)

    def forget(self) -> None:
        """Begin anew, when all rows have been brought up to date."""
        self._up_to[:] = 0
        self._kept[:] = 1
        self._moved[:] = 0
        self.steps = 0

    def state(self) -> dict[str, np.ndarray]:
        """Return arrays for :meth:`restore`: those of the rows ``(rows,)``, and of the steps."""
        return {
            "up to": self._up_to.copy(),
            "steps": np.array([self.steps]),
            "kept": self._kept.copy(),
            "moved": self._moved.copy(),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self._up_to[:] = state["up to"]
        self.steps = int(state["steps"][0])
        self._kept[:] = state["kept"]
        self._moved[:] = state["moved"]
