"""Tokens read whole and by their characters."""

from __future__ import annotations

from typing import Any

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.inputs import EmbeddingInput, OneHotInput
from seqlm_core.model.sequence_stack import SequenceEncoder


class SpelledInput(gluon.HybridBlock):
    """Tokens as what is learnt of each, beside what a recurrent encoder makes of its characters (Ling et al. 2015).

    So much is known of a token that was never seen before.

    Args:
        tokens: input for the tokens' ids.
        characters: input for the characters' ids.
        encoder: reads the characters.
    """

    is_learnt = True

    def __init__(
        self, tokens: OneHotInput | EmbeddingInput, characters: EmbeddingInput, encoder: SequenceEncoder
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.characters = characters
        self.encoder = encoder
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
            character_counts: ``(time * batch,)``, at least 1.
            states: of the encoder, for a batch of ``time * batch``.
            time: the number of time steps.
            longest: characters of the longest token.
        """
        outputs = self.encoder.encode(F, self.characters(characters), character_counts, states, longest)
        spelt = self.encoder.summary(F, outputs, character_counts).reshape((time, -1, self.encoder.size))
        return F.concat(self.tokens(tokens), spelt, dim=2)
