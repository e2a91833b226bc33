"""The input of networks that read more of a token than the token as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.inputs import EmbeddingInput, OneHotInput
from seqlm_core.model.sequence_stack import SequenceStack


class JoinedInput(gluon.HybridBlock):
    """Joins all that is read of a token to one vector.

    That is the token's embedding, those of its further columns, vectors that are given, and a vector that recurrent
    layers make of its characters (Ling et al. 2015). So a token that was never seen in training has a vector that says
    something about it.

    Args:
        tokens: the input for the tokens' ids.
        columns: the inputs for the ids of further columns.
        vectors: the lengths of the vectors that are given.
        is_tuned: whether the first of these are changed in training: what is learnt for a token is added to its vector
            and does not stand beside it. This is the same as to begin with the vector and to change it.
        characters: the input for the characters' ids; None if the characters are not read.
        encoder: the layers that read the characters. Checkpoints name its parameters by this attribute.
    """

    is_learnt = True

    def __init__(
        self,
        tokens: OneHotInput | EmbeddingInput,
        columns: Sequence[EmbeddingInput],
        vectors: Sequence[int],
        is_tuned: bool,
        characters: EmbeddingInput | None = None,
        encoder: SequenceStack | None = None,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.columns = gluon.nn.HybridSequential()
        self.columns.add(*columns)
        self.characters = characters
        self.encoder = encoder
        self._vectors = len(vectors)
        self._is_tuned = is_tuned
        self.vocabulary_size = tokens.vocabulary_size
        self.token_size = tokens.size
        beside = vectors[1:] if is_tuned else vectors
        self.size = tokens.size + sum(column.size for column in columns) + sum(beside)
        if encoder is not None:
            self.size += encoder.size

    def read(self, F: Any, inputs: list[Any], states: list[list[list[Any]]] | None, time: int, longest: int) -> Any:
        """Return vectors ``(time, batch, size)``.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            inputs: those of a batch, see :class:`~seqlm_core.sequences.batches.Batch`.
            states: initial states of the encoder, for a batch of ``time * batch``; None if there is no encoder.
            time: the number of time steps.
            longest: the length of the axis of characters.
        """
        tokens, *rest = inputs
        columns, vectors = rest[: len(self.columns)], rest[len(self.columns) : len(self.columns) + self._vectors]
        parts = [self.tokens(tokens)]
        if self._is_tuned:
            first, *vectors = vectors
            # MXNet's `+` of what is computed and what is given adds other memory now and then, in a graph of static
            # shapes: of 48 trainings of 15 steps, 20 came to other weights, or to none.
            parts[0] = F.broadcast_add(parts[0], first)
        parts += [read(ids) for read, ids in zip(self.columns, columns)]
        parts += vectors
        if self.encoder is not None:
            characters, counts = rest[-2:]
            parts.append(self._spelt(F, characters, counts, states, time, longest))
        return F.concat(*parts, dim=2) if len(parts) > 1 else parts[0]

    def _spelt(self, F: Any, characters: Any, counts: Any, states: Any, time: int, longest: int) -> Any:
        """Return the encoder's summary of characters ``(time, batch, longest)``, of which each token has a count."""
        encoder: Any = self.encoder
        characters = F.transpose(characters, axes=(2, 0, 1)).reshape((longest, -1))
        counts = counts.reshape((-1,))
        read: Any = self.characters
        outputs = encoder.unroll(F, read(characters), counts, states, longest)
        return encoder.summary(F, outputs, counts).reshape((time, -1, encoder.size))
