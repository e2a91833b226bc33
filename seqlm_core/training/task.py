"""The interface between the training loop and what it trains: language models, taggers and all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.training.embedding_rows import EmbeddingRows
from seqlm_core.workers.workers import Workers


class Figures(Protocol):
    """The figures of an evaluation."""

    @property
    def loss(self) -> float: ...

    def to_record(self) -> dict[str, float]: ...


class Task(Protocol):
    """What the loop trains: it makes the batches and their loss, and computes the figures.

    Attributes:
        name: the name of the task in the run's configuration.
        network: the network that is trained.
        loss_name: the name of the loss in records and pictures, such as ``nats_per_token``.
        unit: what is predicted, in the plural, such as ``tokens``.
        steps_per_epoch: number of batches in an epoch.
        predictions_per_step: mean number of predictions in a batch.
        has_validation: whether there is something to validate on, so that :meth:`evaluate` returns figures.
        embedding_rows: the embedding of which only the rows that a step reads are updated; None if there is none.
        workers: those who train together.
    """

    name: str
    network: RecurrentNetwork
    loss_name: str
    unit: str
    embedding_rows: EmbeddingRows | None
    workers: Workers

    @property
    def steps_per_epoch(self) -> int: ...

    @property
    def predictions_per_step(self) -> float: ...

    @property
    def has_validation(self) -> bool: ...

    def batches(self, epoch: int, first_step: int) -> Iterator[Any]:
        """Yield an epoch's batches, beginning with ``first_step``; called in a separate thread.

        Batches are made before earlier steps are done, and some are never used. So making them must not change
        anything. A batch has at least these attributes: ``step`` (the first step is 0), ``predictions`` (the number
        that counts), ``weights`` (the weight of each prediction's loss in the mean, an array of the losses' shape), and
        ``weight_masks`` (the masks of the network's weights, a list of pairs).
        """

    def loss(self, batch: Any) -> Any:
        """Return the loss of each prediction of a batch, 0 for those that do not count; autograd must record."""

    def evaluate(self) -> Figures | None:
        """Return the figures on the validation part; None if there is none."""

    def selection_loss(self, figures: Any) -> float:
        """Return what is lowest with the best figures."""

    def first_non_finite_part(self, batch: Any) -> str | None:
        """Return the name of the first part of the network with outputs that are not finite; None if all are finite."""

    def state(self) -> dict[str, np.ndarray]:
        """Return what the next step needs besides the weights, as arrays by name."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Restore a state that :meth:`state` returned."""

    def describe(self) -> dict[str, Any]:
        """Return what a run's configuration records of the task and its data: ``task``, ``architecture`` and more."""

    def write_files(self, directory: RunDirectory) -> None:
        """Write the files that give the model's inputs and outputs their meaning, such as the vocabulary."""

    def notices(self) -> list[str]:
        """Return what users should know about the data before the training begins, as sentences."""
