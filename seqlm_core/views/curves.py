"""The curves of a training: how its loss, its learning rate and its speed developed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

TRAINING, VALIDATION, BOTH_SIDES = "training_", "validation_", "both_sides_"


@dataclasses.dataclass(frozen=True)
class Curve:
    """Values over a training.

    Attributes:
        name: what the values are of, such as ``training``.
        steps: the step of each value.
        epochs: the epochs done then.
        seconds: the training time then.
        values: the values.
    """

    name: str
    steps: list[int]
    epochs: list[float]
    seconds: list[float]
    values: list[float]

    @classmethod
    def of(cls, name: str, records: Sequence[dict[str, Any]], key: str) -> Curve:
        """Return the curve of what records of a history hold under a key."""
        with_value = [record for record in records if record.get(key) is not None]
        columns = ([record[axis] for record in with_value] for axis in ("step", "epoch", "seconds", key))
        return cls(name, *columns)

    def smoothed(self, decay: float) -> Curve:
        """Return the exponential moving average of the values, without the bias towards its beginning."""
        averages, total, weight = [], 0.0, 0.0
        for value in self.values:
            total = decay * total + (1 - decay) * value
            weight = decay * weight + (1 - decay)
            averages.append(total / weight)
        return dataclasses.replace(self, values=averages)


def loss_name(records: Sequence[dict[str, Any]]) -> str | None:
    """Return the name of the loss in the records of a history, such as ``nats_per_token``; None without records."""
    keys = (key for record in records for key in record if key.startswith(TRAINING))
    return next((key[len(TRAINING) :] for key in keys), None)


def loss_curves(records: Sequence[dict[str, Any]], name: str) -> list[Curve]:
    """Return the curves of the losses that a history has.

    Args:
        records: the records.
        name: the name of the loss in them.
    """
    reports, epochs = (_of_kind(records, kind) for kind in ("report", "epoch"))
    has_both_sides = any(BOTH_SIDES + name in record for record in epochs)
    curves = [
        # Without reports, the training loss is that of the epochs.
        Curve.of("training", reports or epochs, TRAINING + name),
        Curve.of(f"validation{' (left to right)' if has_both_sides else ''}", epochs, VALIDATION + name),
        Curve.of("validation (both sides)", epochs, BOTH_SIDES + name),
    ]
    return [curve for curve in curves if curve.values]


def learning_rate_curve(records: Sequence[dict[str, Any]]) -> Curve:
    """Return the curve of the learning rate."""
    return Curve.of("learning rate", _of_kind(records, "report") or _of_kind(records, "epoch"), "learning_rate")


def speed_curve(records: Sequence[dict[str, Any]], per_step: float) -> Curve:
    """Return the curve of the speed of the steps alone, between reports without a validation or a sample.

    Args:
        records: the records, samples included.
        per_step: what a step counts for, such as the number of its tokens.
    """
    chosen = []
    for before, after in zip(records, records[1:]):
        steps, seconds = after["step"] - before["step"], after["seconds"] - before["seconds"]
        if before["kind"] == after["kind"] == "report" and steps > 0 and seconds > 0:
            chosen.append({**after, "speed": per_step * steps / seconds})
    return Curve.of("speed", chosen, "speed")


def best_step(records: Sequence[dict[str, Any]]) -> int | None:
    """Return the step of the best epoch; None if no epoch has ended."""
    best = [record["step"] for record in records if record.get("best")]
    return best[-1] if best else None


def _of_kind(records: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record for record in records if record["kind"] == kind]
