"""What the steps of a language model's training read: windows of the text, and the random numbers for them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqlm_core.engine.arrays import array_of
from seqlm_core.engine.mxnet import nd
from seqlm_core.engine.randomness import generator
from seqlm_core.errors import SettingError
from seqlm_core.model.language_network import LanguageNetwork
from seqlm_core.reading.tokenized_text import TokenizedText
from seqlm_core.reading.windows import WindowPlan
from seqlm_core.settings.settings import LanguageSettings
from seqlm_core.training.dropout import DropoutMasks
from seqlm_core.training.embedding_rows import EmbeddingRows, ReadRows
from seqlm_core.training.weight_dropping import WeightDropping, WeightMasks
from seqlm_core.workers.workers import Workers


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


class Windows:
    """Makes the windows of a training. Each is a function of the settings, the text and the step.

    Args:
        network: an initialized network.
        text: the text to train on.
        plan: how it is cut into streams and windows.
        settings: the settings of the training, with all rates of dropout.
        embedding_rows: the embedding of which only the rows that are read are updated; None if there is none.
        workers: those who train together; each reads some of the streams. Random numbers are those of all streams.

    Raises:
        SettingError: there are more workers than streams.

    Attributes:
        streams: the number of this worker's streams.
        predictions: the number of predictions of a step of all workers.
    """

    def __init__(
        self,
        network: LanguageNetwork,
        text: TokenizedText,
        plan: WindowPlan,
        settings: LanguageSettings,
        embedding_rows: EmbeddingRows | None,
        workers: Workers,
    ) -> None:
        if plan.batch_size < workers.count:
            raise SettingError(
                "workers",
                f"{workers.count} are more than the {plan.batch_size} windows side by side; raise `batch_size`, or "
                "give more text",
            )
        self._network = network
        self._text = text
        self._plan = plan
        self._settings = settings
        self._embedding_rows = embedding_rows
        self._dropout = DropoutMasks(network, network.mask_sizes, settings)
        self._weight_dropping = WeightDropping(network, settings.recurrent_dropout or 0.0, settings.seed)
        self.part = workers.part_of(plan.batch_size)
        self.streams = self.part.stop - self.part.start
        self.predictions = plan.batch_size * plan.sequence_length
        shape = plan.sequence_length, self.streams
        self._weights = nd.full(shape, 1 / self.predictions, ctx=network.device, dtype=network.dtype)

    def of_epoch(self, epoch: int, first: int) -> Iterator[Window]:
        """Yield an epoch's windows, beginning with the one of this number."""
        seed = self._settings.seed
        windows = self._plan.read(self._text.ids, seed, epoch, first)
        ends: Iterator[np.ndarray | None] = itertools.repeat(None)
        if self._text.ends is not None:
            ends = self._plan.read(self._text.ends, seed, epoch, first)
        for number, (ids, of_window) in enumerate(zip(windows, ends), start=first):
            yield self.make(ids, of_window, epoch * self._plan.windows + number, begins_epoch=number == 0)

    def make(self, ids: np.ndarray, ends: np.ndarray | None, step: int, begins_epoch: bool) -> Window:
        """Return the window of a step.

        Args:
            ids: the ids of the tokens of all streams, ``(time + 1, batch)``.
            ends: 1 where a token ends a document, else 0, of the same shape; None without documents.
            step: the step; the first step is 0.
            begins_epoch: whether all streams begin with fresh states.
        """
        two_sided = self._network.backward_stack is not None
        rows, read = None, ids if two_sided else ids[:-1]
        if self._embedding_rows is not None:
            rows, read = self._embedding_rows.places_of(read)
        tokens, ids, read = ids, ids[:, self.part], read[:, self.part]
        ends = None if ends is None else ends[:, self.part]
        return Window(
            step=step,
            inputs=array_of(read[: len(ids) - 1], np.int32, self._network.device),
            targets=array_of(ids[1:], np.int32, self._network.device),
            following=array_of(read[:1:-1], np.int32, self._network.device) if two_sided else None,
            begins_epoch=begins_epoch,
            resets=self._resets(step),
            masks=self._dropout_masks(step, "forward", tokens[:-1]),
            weight_masks=self._weight_dropping.masks(step),
            backward_masks=self._dropout_masks(step, "backward", tokens[:1:-1]) if two_sided else None,
            right_visible=self._right_visible(step, ends) if two_sided else None,
            predictions=self.predictions,
            weights=self._weights,
            ends=None if ends is None else array_of(ends[:-1], np.int32, self._network.device),
            following_ends=(
                array_of(ends[:1:-1], np.int32, self._network.device) if two_sided and ends is not None else None
            ),
            rows=rows,
        )

    def _resets(self, step: int) -> Any | None:
        """Return 1 for each stream that gets fresh states before this step, else 0, ``(batch,)``; they are random.

        Otherwise a model would meet fresh states only at the beginning of an epoch, and could fail after some
        beginnings: on tiny Shakespeare after 250 steps, 5 of the 32 streams of the validation part stayed at 7.5 nats
        per token, while the others were at 2.3.
        """
        random = generator(self._settings.seed, step, "state resets")
        resets = random.random(self._plan.batch_size, dtype=np.float32) < self._settings.reset_probability
        resets = resets[self.part]
        return array_of(resets, self._network.dtype, self._network.device) if resets.any() else None

    def _dropout_masks(self, step: int, direction: str, tokens: np.ndarray) -> list[Any] | None:
        time, batch = tokens.shape
        has_table = self._embedding_rows is None and self._network.reads_table(time)
        return self._dropout.draw(step, f"{direction} dropout", tokens, (time, batch), has_table, self.part)

    def _right_visible(self, step: int, ends: np.ndarray | None) -> Any:
        """Return 1 where a prediction may use the text that follows it, else 0, ``(time, batch, 1)``.

        What follows the last token of a document is another document.
        """
        random = generator(self._settings.seed, step, "hidden right context")
        drawn = random.random((self._plan.sequence_length, self._plan.batch_size, 1), dtype=np.float32)
        visible = drawn[:, self.part] >= self._settings.hide_right_context
        if ends is not None:
            visible &= ends[1:, :, None] == 0
        return array_of(visible, self._network.dtype, self._network.device)
