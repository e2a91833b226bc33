"""The mean of losses that are reported together."""

from __future__ import annotations


class WeightedMean:
    """The weighted mean of numbers that are added one by one."""

    def __init__(self, total: float = 0.0, weight: int = 0) -> None:
        self.total = total
        self.weight = weight

    def add(self, number: float, weight: int) -> None:
        self.total += number * weight
        self.weight += weight

    @property
    def value(self) -> float | None:
        return self.total / self.weight if self.weight else None

    def state(self) -> tuple[float, int]:
        return self.total, self.weight
