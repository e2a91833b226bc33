"""Cuts prompts into tokens.

Users end a prompt with a space so that a new word follows. Some tokenizers put the space before a word into the word's
token. For these, a space at the end of a prompt is the beginning of the next token. As a token of its own, such a space
hardly ever occurs in training.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from seqlm_core.generation.gaps import cut_before_token, fitting_tokens, leading_white_space
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.documents import Documents
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary

logger = logging.getLogger("seqlm")


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A prompt, from which a text goes on.

    Attributes:
        tokens: the prompt's tokens, without ``beginning``.
        ids: the ids of these tokens; with documents, after that of the token that is read before a document.
        beginning: white space at the end of the prompt that the next token has to begin with; usually empty.
        allowed: whether each token begins with it, bool ``(vocabulary,)``; None if any token may be next.
    """

    tokens: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    beginning: str = ""
    allowed: np.ndarray | None = None

    def restricted(self, log_probabilities: np.ndarray) -> np.ndarray:
        """Return log-probabilities ``(rows, vocabulary)`` with minus infinity for tokens that may not be next."""
        return log_probabilities if self.allowed is None else np.where(self.allowed, log_probabilities, -np.inf)


def cut_prompt(text: str, tokenizer: Tokenizer, vocabulary: Vocabulary, documents: Documents | None = None) -> Prompt:
    """Cut a text into a prompt, which begins a document if there are any."""
    tokens, beginning, allowed = tokenizer.tokenize(text), "", None
    if text != text.rstrip():
        tokens, beginning = cut_before_token(text, tokenizer, fitting_tokens(tokenizer, vocabulary))
    if beginning:
        allowed = np.array(leading_white_space(tokenizer, vocabulary)) == beginning
        allowed[UNKNOWN_ID] = False
    ids = [vocabulary.id(token) for token in tokens]
    return Prompt(tuple(tokens), (*([] if documents is None else [documents.start]), *ids), beginning, allowed)


def warn_of_unknown(tokens: Sequence[str], vocabulary: Vocabulary, name: str) -> None:
    """Warn of tokens that are not in the vocabulary; the warning calls their text ``name``."""
    unknown = [token for token in tokens if token not in vocabulary]
    if unknown:
        logger.warning(
            "%s holds %r, which is not in the vocabulary and is read as <unk>%s",
            name,
            unknown[0],
            f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else "",
        )
