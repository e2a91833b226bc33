"""The interface between predictions of a sequence model and the model, which reads batches."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import numpy as np

from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.sequences.batches import Batch
from seqlm_core.sequences.label_chains import LabelChain


class BatchNetwork(Protocol):
    """A sequence model that reads batches.

    Attributes:
        architecture: the sizes and kinds of the model.
    """

    architecture: SequenceArchitecture

    @property
    def dtype(self) -> Any:
        """The type of the outputs."""

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which :meth:`outputs` is called.

        Raises:
            SeqlmError: within the context, something could not be computed. The message is of one line.
        """

    def outputs(self, batch: Batch) -> np.ndarray:
        """Return scores of labels in nats, or values: ``(time, columns, size)`` or ``(columns, size)``.

        Scores are those that the chain of labels goes with; of a softmax, they are log-probabilities. Outputs beyond
        the end of a sequence have no meaning.
        """

    def label_chain(self) -> LabelChain:
        """Return the scores of labels next to each other, of a model that predicts labels."""
