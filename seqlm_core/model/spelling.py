"""The input of networks that read tokens as a whole and character by character."""

from __future__ import annotations

from typing import Any

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.inputs import EmbeddingInput, OneHotInput
from seqlm_core.model.sequence_stack import SequenceStack


class SpelledInput(gluon.HybridBlock):
    """Concatenates a token's embedding with a vector that recurrent layers make of its characters (Ling et al. 2015).

    So a token that was never seen in training has a vector that says something about it.

    Args:
        tokens: the input for the tokens' ids.
        characters: the input for the characters' ids.
        encoder: the layers that read the characters. Checkpoints name its parameters by this attribute.
    """

    is_learnt = True

    def __init__(
        self, tokens: OneHotInput | EmbeddingInput, characters: EmbeddingInput, encoder: SequenceStack
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.characters = characters
        self.encoder = encoder
        self.vocabulary_size = tokens.vocabulary_size
        self.token_size = tokens.size
        self.size = tokens.size + encoder.size

    def read(
        self,
        F: Any,
        tokens: Any,
        characters: Any,
        character_counts: Any,
        states: list[list[list[Any]]],
        time: int,
        longest: int,
    ) -> Any:
        """Return vectors ``(time, batch, size)``.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            tokens: ids ``(time, batch)``.
            characters: ids ``(longest, time * batch)``, the tokens in the order of ``tokens``.
            character_counts: numbers of characters ``(time * batch,)``, at least 1.
            states: initial states of the encoder, for a batch of ``time * batch``.
            time: the number of time steps.
            longest: the length of the axis of characters.
        """
        outputs = self.encoder.unroll(F, self.characters(characters), character_counts, states, longest)
        spelt = self.encoder.summary(F, outputs, character_counts).reshape((time, -1, self.encoder.size))
        return F.concat(self.tokens(tokens), spelt, dim=2)
