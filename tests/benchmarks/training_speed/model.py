"""What is trained, and on which windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
LEARNING_RATE = 0.001
LARGEST_NORM = 1.0
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
WINDOWS = 256  # in an epoch; tiny Shakespeare has 627 with 32 sequences


@dataclasses.dataclass(frozen=True)
class Model:
    """What is trained, and on windows of which size."""

    cell: str
    units: int
    batch: int
    layers: int
    time: int = 50
    vocabulary: int = 65
    precision: str = "float32"  # or bfloat16, which seqlm and PyTorch may use then

    @property
    def tokens(self) -> int:
        """Predictions in a step."""
        return self.time * self.batch

    @property
    def operations(self) -> int:
        """Floating-point operations that seqlm's method needs for a step: three products for each matrix."""
        matrix = GATES[self.cell] * self.units**2
        recurrent = matrix * self.tokens * self.layers
        inputs = matrix * self.tokens * (self.layers - 1) + matrix * self.vocabulary
        return 6 * (recurrent + inputs + self.vocabulary * self.units * self.tokens)

    def text(self) -> np.ndarray:
        """Return random token ids for an epoch."""
        return np.random.default_rng(1).integers(0, self.vocabulary, self.tokens * WINDOWS + 1, dtype=np.int32)

    def windows(self, ids: np.ndarray) -> np.ndarray:
        """Return the windows of a text ``(windows, time + 1, batch)``: inputs, each followed by what is predicted."""
        streams = ids[: (len(ids) - 1) // self.tokens * self.tokens].reshape(self.batch, -1, self.time)
        following = ids[1:][: streams.size].reshape(streams.shape)[:, :, -1:]
        return np.ascontiguousarray(np.concatenate([streams, following], axis=2).transpose(1, 2, 0))

    def weights(self) -> dict[str, np.ndarray]:
        """Return weights by seqlm's names, larger than initial ones, from which all cells have nearly the same loss."""
        random, rows = np.random.default_rng(1), GATES[self.cell] * self.units
        shapes: dict[str, tuple[int, ...]] = {"input.weight": (self.vocabulary, self.units)}
        for layer in range(self.layers):
            of_layer: dict[str, tuple[int, ...]] = {"i2h_weight": (rows, self.units), "h2h_weight": (rows, self.units)}
            of_layer.update(i2h_bias=(rows,), h2h_bias=(rows,))
            shapes.update({f"forward_stack.{layer}.{name}": shape for name, shape in of_layer.items()})
        shapes.update({"head.weight": (self.vocabulary, self.units), "head.bias": (self.vocabulary,)})
        return {
            name: random.normal(0, 0.15 if "_stack" in name else 1.0, shape).astype(np.float32)
            for name, shape in shapes.items()
        }

    def __str__(self) -> str:
        return f"{self.cell}, {self.units} units, batch {self.batch}, {counted(self.layers, 'layer')}"


def counted(number: int, noun: str) -> str:
    """Return a number and a noun, in the plural where it has to be."""
    return f"{number} {noun}{'s' * (number != 1)}"


def listed(numbers: Sequence[int]) -> str:
    """Return numbers as text."""
    return ", ".join(map(str, numbers))
