"""The workers of a training: which part of each batch is whose, and how they add up what each has computed.

All workers take the same steps with the same weights. Each computes the gradients of its part of a batch, and their sum
updates the weights of every worker in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Workers:
    """A training in one process. Its only worker has all of every batch, and nothing to wait for.

    Attributes:
        rank: the number of this worker, from 0; the first leads: it alone writes the run and shows progress.
        count: the number of workers.
    """

    rank = 0
    count = 1

    @property
    def leads(self) -> bool:
        """Whether this worker writes the run."""
        return self.rank == 0

    def part_of(self, size: int) -> slice:
        """Return which of so many streams or sequences are this worker's: about as many as those of any other."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def add_up(self, arrays: Mapping[str, Any]) -> None:
        """Replace MXNet arrays, which are of the same names and shapes with all workers, by their sums.

        A name must belong to the same array each time. This does not wait: who reads an array waits for its sum.
        """

    def sum_later(self, name: str, array: Any) -> Any:
        """Return a new MXNet array: the sum of what all workers call by this name. This does not wait."""
        return array

    def sum_of(self, name: str, numbers: Sequence[float]) -> list[float]:
        """Return the sums of what all workers call by this name. This waits for them."""
        if self.count == 1:
            return list(numbers)
        every = np.zeros((self.count, len(numbers)))
        every[self.rank] = numbers
        return [float(total) for total in self.united(name, every).sum(axis=0)]

    def gathered(self, name: str, part: np.ndarray, size: int, axis: int) -> np.ndarray:
        """Return the array of which each worker has its part of ``size`` along an axis. This waits for all workers."""
        if self.count == 1:
            return part
        shape = list(part.shape)
        shape[axis] = size
        whole = np.zeros(shape, part.dtype)
        whole[(slice(None),) * axis + (self.part_of(size),)] = part
        return self.united(name, whole)

    def united(self, name: str, array: np.ndarray) -> np.ndarray:
        """Return an array of which each worker has some elements, and 0 for all others, without any rounding.

        This waits for all workers.
        """
        if self.count == 1:
            return array
        if array.dtype == np.float32:
            return self._sum_now(name, array)
        as_bytes = self._sum_now(name, np.ascontiguousarray(array).reshape(-1).view(np.uint8).astype(np.float32))
        return as_bytes.astype(np.uint8).view(array.dtype).reshape(array.shape)

    def _sum_now(self, name: str, array: np.ndarray) -> np.ndarray:
        """Return the sum of an array of float32 of all workers. This waits for them."""
        return array

    def check_same(self, facts: Mapping[str, str]) -> None:
        """Wait until all workers have told these facts. If they differ, all processes end with an error."""

    def begin(self, run: Path) -> None:
        """Say where the run is that the workers train."""

    def finished(self) -> None:
        """Say that this worker ends as it should."""


ALONE = Workers()
