"""Computing the outputs of a sequence model for sequences of any lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from seqlm_core.display.bar import Bar
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.model.batch_network import BatchNetwork
from seqlm_core.sequences.batches import batches_in_order
from seqlm_core.sequences.codecs import Codecs, LabelCodec, ValueCodec
from seqlm_core.sequences.encoded_sequences import EncodedSequences
from seqlm_core.sequences.given_vectors import GivenVectors, VectorSource
from seqlm_core.sequences.label_chains import LabelChain
from seqlm_core.sequences.label_decoder import LabelDecoder
from seqlm_core.workers.workers import ALONE, Workers


class EncodedInputs(Protocol):
    """Inputs as a predictor reads them."""

    @property
    def unknown_tokens(self) -> int:
        """The number of tokens that are not in the vocabulary; 0 if the inputs are values."""


class Predictor(Protocol):
    """Computes outputs for sequences: with one network, or with several."""

    @property
    def architecture(self) -> SequenceArchitecture:
        """The sizes and kinds of the model, or of the first one."""

    @property
    def output_codec(self) -> LabelCodec | ValueCodec:
        """The codec of the outputs."""

    @property
    def decoder(self) -> LabelDecoder:
        """What finds labels by the outputs, with the network's current weights."""

    def encoded(self, inputs: Sequence[Any]) -> Any:
        """Return :class:`EncodedInputs`, made of inputs that have been checked, for :meth:`outputs`.

        Raises:
            UsageError: tokens have other columns than the model reads.
        """

    def outputs(self, sequences: Any) -> list[np.ndarray]:
        """Return the scores of labels in nats, or the standardized values, for each sequence.

        Each is an array ``(time, size)``, or ``(size,)`` if the model predicts one label for a sequence, whose scores
        are the logarithms of probabilities. That of an empty sequence is ``(0, size)``.
        """


class NetworkPredictor:
    """A :class:`Predictor` that computes with a network, in batches.

    Args:
        network: the model.
        codecs: its codecs.
        batch_size: the largest number of sequences in a batch.
        workers: those who compute together; each computes some of the batches, and all get all outputs.
        allowed: forbids some sequences of labels; None allows all.
    """

    def __init__(
        self,
        network: BatchNetwork,
        codecs: Codecs,
        batch_size: int,
        workers: Workers = ALONE,
        allowed: LabelChain | None = None,
    ) -> None:
        self.network = network
        self.architecture = network.architecture
        self.codecs = codecs
        self.output_codec = codecs.outputs
        self.batch_size = batch_size
        self.workers = workers
        self.allowed = allowed

    @property
    def decoder(self) -> LabelDecoder:
        return LabelDecoder(self.network.label_chain(), self.allowed)

    def encoded(
        self, inputs: Sequence[Any], vectors: dict[VectorSource, GivenVectors] | None = None
    ) -> EncodedSequences:
        """Return the inputs as arrays; for ``vectors`` see :meth:`EncodedSequences.of_inputs`."""
        return EncodedSequences.of_inputs(inputs, self.codecs, vectors)

    def outputs(self, sequences: EncodedSequences) -> list[np.ndarray]:
        size = self.architecture.output_size
        per_step = self.architecture.outputs != "label"
        found = [np.zeros((n, size) if per_step or not n else size, self.network.dtype) for n in sequences.lengths]
        with self.network.computing(), Bar("predicting", len(found)) as bar:
            for number, batch in enumerate(batches_in_order(sequences, self.batch_size)):
                bar.advance(len(batch.indices))
                if number % self.workers.count != self.workers.rank:
                    continue
                computed = self.network.outputs(batch)
                for column, index in enumerate(batch.indices):
                    # A copy, since a view would keep the whole batch in memory.
                    kept = computed[: batch.lengths[column], column] if per_step else computed[column]
                    found[index] = kept.astype(self.network.dtype)
        if self.workers.count == 1:
            return found
        together = self.workers.united("outputs", np.concatenate([outputs.reshape(-1) for outputs in found]))
        ends = np.cumsum([outputs.size for outputs in found])
        return [part.reshape(outputs.shape) for part, outputs in zip(np.split(together, ends[:-1]), found)]
