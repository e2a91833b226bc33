"""Averaging the outputs of several sequence models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.engine.numerics import log_softmax
from seqlm_core.model.prediction import NetworkPredictor
from seqlm_core.sequences.codecs import LabelCodec, ValueCodec
from seqlm_core.sequences.encoded_sequences import EncodedSequences
from seqlm_core.sequences.given_vectors import GivenVectors, VectorSource
from seqlm_core.sequences.label_chains import LabelChain
from seqlm_core.sequences.label_decoder import LabelDecoder


class ReadByEach(NamedTuple):
    """Inputs as each of several models reads them."""

    by_model: list[EncodedSequences]

    @property
    def unknown_tokens(self) -> int:
        """The number of tokens that are not in the vocabulary of the first model."""
        return self.by_model[0].unknown_tokens


class AveragedPredictor:
    """A :class:`~seqlm_core.model.prediction.Predictor` with the averages of what several models compute.

    The scores of labels are averaged, both those at their places and those next to each other. So the probability of a
    sequence of labels is the geometric mean of what the models give it, divided by the sum of these means over all
    sequences: a logarithmic opinion pool (Smith, Cohn and Osborne, Logarithmic Opinion Pools for Conditional Random
    Fields, 2005). Values are averaged in their own units.

    Args:
        predictors: the models. They have the same kinds of inputs and outputs, and the same labels, in any order, or
            the same number of channels. The outputs are those of the first in order and units.
    """

    def __init__(self, predictors: Sequence[NetworkPredictor]) -> None:
        self._predictors = predictors
        self.architecture = predictors[0].architecture
        self.output_codec = predictors[0].output_codec
        self._orders = [_order(predictor.output_codec, self.output_codec) for predictor in predictors]

    @property
    def decoder(self) -> LabelDecoder:
        ordered = [(predictor.decoder, order) for predictor, order in zip(self._predictors, self._orders)]
        mean = LabelChain.mean([found.chain.reordered(order) for found, order in ordered])
        # What is forbidden follows from the labels alone, so it is the same for all that forbid.
        allowed = (found.allowed.reordered(order) for found, order in ordered if found.allowed is not None)
        return LabelDecoder(mean, next(allowed, None))

    def encoded(self, inputs: Sequence[Any]) -> ReadByEach:
        vectors: dict[VectorSource, GivenVectors] = {}
        return ReadByEach([predictor.encoded(inputs, vectors) for predictor in self._predictors])

    def outputs(self, sequences: ReadByEach) -> list[np.ndarray]:
        sums: list[np.ndarray] = []
        for predictor, read, order in zip(self._predictors, sequences.by_model, self._orders):
            found = [self._as_of_first(array, predictor.output_codec, order) for array in predictor.outputs(read)]
            sums = [total + array for total, array in zip(sums, found)] if sums else found
        means = [total / len(self._predictors) for total in sums]
        return [log_softmax(mean) for mean in means] if self.architecture.outputs == "label" else means

    def _as_of_first(self, outputs: np.ndarray, codec: LabelCodec | ValueCodec, order: np.ndarray) -> np.ndarray:
        if isinstance(codec, ValueCodec) and isinstance(self.output_codec, ValueCodec):
            return (codec.decode(outputs) - self.output_codec.mean) / self.output_codec.scale
        return outputs[..., order].astype(np.float64)


def _order(codec: LabelCodec | ValueCodec, first: LabelCodec | ValueCodec) -> np.ndarray:
    """Return where a codec has the outputs that are in this order in the first one."""
    if isinstance(codec, LabelCodec) and isinstance(first, LabelCodec):
        return codec.encode(first.labels)
    return np.arange(codec.size)
