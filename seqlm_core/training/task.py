"""What a training trains: the interface between the loop and language models, taggers and all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.runs.directory import RunDirectory


class Figures(Protocol):
    """What an evaluation found."""

    @property
    def selection_loss(self) -> float: ...

    def to_record(self) -> dict[str, float]: ...


class Task(Protocol):
    """What is trained: it makes the batches and the loss, and knows the model's figures.

    Attributes:
        name: as the run's configuration records it.
        network: the network that is trained.
        loss_name: of the loss in records and pictures, such as ``nats_per_token``.
        unit: what one prediction is of, in the plural, such as ``tokens``.
        steps_per_epoch: batches in an epoch.
        predictions_per_step: predictions in a batch, on average.
    """

    name: str
    network: RecurrentNetwork
    loss_name: str
    unit: str

    @property
    def steps_per_epoch(self) -> int: ...

    @property
    def predictions_per_step(self) -> float: ...

    def batches(self, epoch: int, first_step: int) -> Iterator[Any]:
        """Yield the rest of an epoch's batches; called in a thread of its own.

        They are made before the steps before them are done, and some are never used. So making them changes nothing.
        A batch has at least ``step`` (from 0), ``predictions`` (how many count), and ``weights`` (of each prediction's
        loss in the mean, an array of the losses' shape).
        """

    def loss(self, batch: Any) -> Any:
        """Return the loss of each prediction of a batch, 0 where none counts; called while autograd records."""

    def evaluate(self) -> Figures | None:
        """Return the figures on the validation part, None where there is none."""

    def first_not_finite(self, batch: Any) -> str | None:
        """Return the name of the first part of the model whose outputs for a batch are not finite, or None."""

    def state(self) -> dict[str, np.ndarray]:
        """Return what the next step needs beside the weights, as arrays by name."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Bring back what :meth:`state` returned."""

    def describe(self) -> dict[str, Any]:
        """Return what a run's configuration tells of the task and its data: ``task``, ``architecture`` and more."""

    def write_files(self, directory: RunDirectory) -> None:
        """Write what the model's inputs and outputs mean, such as a vocabulary."""

    def notices(self) -> list[str]:
        """Return what a user should know of the data before the training begins."""
