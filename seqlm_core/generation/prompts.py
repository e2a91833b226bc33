"""Prompts, cut into tokens.

A user ends a prompt with a space to have another word. Where a tokenizer puts the space before a word into that word's
token, a space at the end is the beginning of the next token. As a token of its own it hardly ever occurred in training.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from seqlm_core.generation.gaps import cut_before_token, fitting_tokens, white_space_beginnings
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary

logger = logging.getLogger("seqlm")


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What a text goes on from.

    Attributes:
        tokens: of the prompt, without what is the beginning of the next token.
        ids: of these tokens.
        beginning: white space at the end of the prompt that the next token begins with; empty as a rule.
        allowed: which tokens begin so, bool ``(vocabulary,)``; None where any may be next.
    """

    tokens: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    beginning: str = ""
    allowed: np.ndarray | None = None

    def bounded(self, log_probabilities: np.ndarray) -> np.ndarray:
        """Return log-probabilities ``(rows, vocabulary)`` of the next token; minus infinity where it cannot be next."""
        return log_probabilities if self.allowed is None else np.where(self.allowed, log_probabilities, -np.inf)


def cut_prompt(text: str, tokenizer: Tokenizer, vocabulary: Vocabulary) -> Prompt:
    """Return a text as a prompt."""
    tokens, beginning, allowed = tokenizer.tokenize(text), "", None
    if text != text.rstrip():
        tokens, beginning = cut_before_token(text, tokenizer, fitting_tokens(tokenizer, vocabulary))
    if beginning:
        allowed = np.array(white_space_beginnings(tokenizer, vocabulary)) == beginning
        allowed[UNKNOWN_ID] = False
    return Prompt(tuple(tokens), tuple(vocabulary.id(token) for token in tokens), beginning, allowed)


def warn_of_unknown(tokens: Sequence[str], vocabulary: Vocabulary, name: str) -> None:
    """Warn of tokens of a text that is called ``name`` which are not in the vocabulary."""
    unknown = [token for token in tokens if token not in vocabulary]
    if unknown:
        logger.warning(
            "%s holds %r, which is not in the vocabulary and is read as <unk>%s",
            name,
            unknown[0],
            f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else "",
        )
