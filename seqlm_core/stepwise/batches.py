"""A sequence model that reads batches in NumPy."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqlm_core.engine.numerics import log_softmax
from seqlm_core.errors import RunError
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.sequences.batches import Batch
from seqlm_core.sequences.label_chains import LabelChain
from seqlm_core.stepwise.layers import StepLayers
from seqlm_core.stepwise.output_layer import Affine
from seqlm_core.stepwise.windows import enough_memory
from seqlm_core.storage.checkpoint import select


class StepBatches:
    """A :class:`~seqlm_core.model.batch_network.BatchNetwork` computed with its cells' step functions, in float64.

    Args:
        architecture: the sizes and kinds of the model.
        cell: the cell, which must have a step, with its options.
        char_cell: the same of the cell that reads characters; None if none are read.
        weights: the model's parameters by name.

    Raises:
        RunError: a parameter is missing.
    """

    dtype = np.float32

    def __init__(
        self,
        architecture: SequenceArchitecture,
        cell: Component[CellSpec],
        char_cell: Component[CellSpec] | None,
        weights: Mapping[str, np.ndarray],
    ) -> None:
        self.architecture = a = architecture
        weights = {name: array.astype(np.float64) for name, array in weights.items()}
        head = "head.scores." if a.crf else "head."
        try:
            self._input = _Input(a, char_cell, weights)
            self._encoder = SequenceLayers("encoder.", a.layers, a.bidirectional, cell, weights)
            self._head = Affine(weights[f"{head}weight"], weights[f"{head}bias"])
            self._chain = LabelChain.independent(a.output_size)
            if a.crf:
                self._chain = LabelChain(*(weights[f"head.chain.{name}"] for name in ("first", "transitions", "last")))
        except KeyError as error:
            raise RunError(f"the checkpoint has no parameter {error}") from error

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        return enough_memory()

    def outputs(self, batch: Batch) -> np.ndarray:
        a = self.architecture
        outputs = self._encoder.unroll(self._input.read(batch), batch.lengths)
        if a.outputs == "label":
            outputs = self._encoder.summary(outputs, batch.lengths)
        scores = self._head(outputs.reshape(-1, outputs.shape[-1])).reshape(*outputs.shape[:-1], a.output_size)
        return scores if a.crf or a.outputs == "values" else log_softmax(scores)

    def label_chain(self) -> LabelChain:
        if self.architecture.outputs == "values":
            raise TypeError("a model of values predicts no labels")
        return self._chain


class SequenceLayers:
    """Layers that read padded sequences in one direction or both; see ``model.sequence_stack``, which trains them.

    Args:
        prefix: what the names of their parameters begin with.
        layers: the number of layers.
        bidirectional: whether sequences are read from both ends.
        cell: the cell, which must have a step, with its options.
        weights: the model's parameters by name, float64.
    """

    def __init__(
        self,
        prefix: str,
        layers: int,
        bidirectional: bool,
        cell: Component[CellSpec],
        weights: Mapping[str, np.ndarray],
    ) -> None:
        stacks = ["forward_stack", "backward_stack"] if bidirectional else ["forward_stack"]
        self._layers = layers
        self._forward, *self._backward = (
            StepLayers(
                cell.spec, cell.options, [select(weights, f"{prefix}{stack}.{layer}.") for layer in range(layers)]
            )
            for stack in stacks
        )

    def unroll(self, inputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return outputs ``(time, columns, size)``, those of the two directions side by side after each layer.

        Args:
            inputs: input vectors ``(time, columns, input)``.
            lengths: lengths of the sequences ``(columns,)``, at least 1.
        """
        place = np.arange(len(inputs))[:, None]
        from_end = np.where(place < lengths, lengths - 1 - place, place)  # a sequence is reversed within its length
        columns = np.arange(len(lengths))
        for layer in range(self._layers):
            parts = [self._forward.unroll(layer, inputs)[0]]
            for backward in self._backward:
                read, _ = backward.unroll(layer, inputs[from_end, columns])
                parts.append(read[from_end, columns])
            inputs = np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
        return inputs

    def summary(self, outputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return each direction's output after it has read a whole sequence, ``(columns, size)``."""
        ends = outputs[lengths - 1, np.arange(len(lengths))]
        if not self._backward:
            return ends
        half = outputs.shape[2] // 2
        return np.concatenate([ends[:, :half], outputs[0, :, half:]], axis=1)


class _Input:
    """Turns the inputs of a batch into the vectors that the lowest layer reads."""

    def __init__(
        self,
        architecture: SequenceArchitecture,
        char_cell: Component[CellSpec] | None,
        weights: Mapping[str, np.ndarray],
    ) -> None:
        self._architecture = a = architecture
        self._tokens: np.ndarray | None = None
        if a.inputs == "tokens" and a.embedding_size:
            self._tokens = weights["input.weight" if a.reads_tokens_only else "input.tokens.weight"]
        self._columns = [weights[f"input.columns.{column}.weight"] for column in range(len(a.columns))]
        if a.characters and char_cell is not None:
            self._characters = weights["input.characters.weight"]
            self._encoder = SequenceLayers("input.encoder.", 1, a.char_bidirectional, char_cell, weights)

    def read(self, batch: Batch) -> np.ndarray:
        """Return the vectors, ``(time, columns, channels)``."""
        a = self._architecture
        if a.inputs == "values":
            return batch.inputs[0].astype(np.float64)
        tokens, *rest = batch.inputs
        columns, vectors = rest[: len(a.columns)], rest[len(a.columns) : len(a.columns) + len(a.vectors)]
        parts = [self._of_tokens(tokens)]
        if a.tuned_vectors:
            first, *vectors = vectors
            parts[0] = parts[0] + first
        parts += [table[ids] for table, ids in zip(self._columns, columns)]
        parts += vectors
        if a.characters:
            parts.append(self._spelt(*rest[-2:]))
        return np.concatenate(parts, axis=2)

    def _of_tokens(self, tokens: np.ndarray) -> np.ndarray:
        if self._tokens is not None:
            return self._tokens[tokens]
        one_hot = np.zeros((*tokens.shape, self._architecture.input_size))
        np.put_along_axis(one_hot, tokens[..., None], 1, axis=-1)
        return one_hot

    def _spelt(self, characters: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return vectors of characters ``(time, columns, longest)``, of which each token has a count.

        Each spelling is read once, however many tokens have it.
        """
        flat = np.concatenate([counts[..., None], characters], axis=2).reshape(-1, characters.shape[2] + 1)
        spellings, places = np.unique(flat, axis=0, return_inverse=True)
        lengths, letters = spellings[:, 0], spellings[:, 1 : 1 + int(spellings[:, 0].max())]
        outputs = self._encoder.unroll(self._characters[letters.T], lengths)
        found = self._encoder.summary(outputs, lengths)[places.reshape(-1)]
        return found.reshape(*counts.shape, -1)
