"""What a training step of a language model reads."""

from __future__ import annotations

import dataclasses
from typing import Any

from seqlm_core.training.embedding_rows import ReadRows
from seqlm_core.training.weight_dropping import WeightMasks


@dataclasses.dataclass(frozen=True)
class Window:
    """The window of a training step and the random numbers for it, as arrays on the network's device.

    Attributes:
        step: the step; the first step is 0.
        inputs: ids of the tokens that are read, int32 ``(time, batch)``; or, if there are ``rows``, their places.
        targets: ids of the tokens that are predicted, int32 ``(time, batch)``.
        following: the targets without the first, in reverse order, ``(time - 1, batch)``, or their places; None for a
            unidirectional model.
        begins_epoch: whether all streams begin with fresh states.
        resets: 1 for each stream that begins with fresh states all the same, else 0, ``(batch,)``; None if none does.
        masks: dropout masks of the forward stack; None without dropout.
        weight_masks: masks of the recurrent weights.
        backward_masks: dropout masks of the backward stack; None without dropout or for a unidirectional model.
        right_visible: ``(time, batch, 1)``, 1 where a prediction may use the text that follows, else 0; None for a
            unidirectional model.
        predictions: number of predicted tokens.
        weights: the weight of each prediction's loss in the mean, ``(time, batch)``.
        ends: 1 where the token of ``inputs`` ends a document, else 0, int32; None without documents.
        following_ends: the same for ``following``.
        rows: the rows of the embeddings that are read; None if the whole embeddings are.
    """

    step: int
    inputs: Any
    targets: Any
    following: Any | None
    begins_epoch: bool
    resets: Any | None
    masks: list[Any] | None
    weight_masks: WeightMasks
    backward_masks: list[Any] | None
    right_visible: Any | None
    predictions: int
    weights: Any
    ends: Any | None
    following_ends: Any | None
    rows: ReadRows | None
