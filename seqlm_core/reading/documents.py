"""Documents: parts of a text that have nothing to do with each other, each of which is read from a fresh state.

The last token of a document is read with a fresh state, and predicts the first token of the next one. So what predicts
a document's first token is a fresh state and one token that ends a line. Before the first document this is the most
frequent one, the *start*.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.tokenizing import tokenize_blocks
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary
from seqlm_core.settings.settings import LINE_DOCUMENTS, NO_DOCUMENTS


@dataclasses.dataclass(frozen=True)
class Documents:
    """What a model that reads documents has to know of its tokens.

    Attributes:
        start: id of the token that is read before the first document.
        ends: whether each token ends a document, bool ``(vocabulary,)``; None if no token does, since files end.
    """

    start: int
    ends: np.ndarray | None

    @classmethod
    def of(cls, kind: str, vocabulary: Vocabulary, tokenizer: Tokenizer) -> Documents | None:
        """Return what there is to know with the setting ``documents``; None if there are no documents."""
        if kind == NO_DOCUMENTS:
            return None
        ends = _line_ends(vocabulary, tokenizer) if kind == LINE_DOCUMENTS else None
        return cls(start_id(vocabulary, tokenizer), ends)


def start_id(vocabulary: Vocabulary, tokenizer: Tokenizer) -> int:
    """Return the id of the token that is read before the first document."""
    ends = _line_ends(vocabulary, tokenizer)
    return int(ends.argmax()) if ends.any() else vocabulary.unknown_id


def _line_ends(vocabulary: Vocabulary, tokenizer: Tokenizer) -> np.ndarray:
    """Return whether each token ends a line, bool ``(vocabulary,)``."""
    return np.array([i != UNKNOWN_ID and ends_line(tokenizer, t) for i, t in enumerate(vocabulary.tokens)])


class LineTokenizer:
    """Cuts each line of a text by itself.

    Args:
        inner: cuts a line.
    """

    def __init__(self, inner: Tokenizer) -> None:
        self.inner = inner

    def tokenize(self, text: str) -> list[str]:
        *lines, rest = text.split("\n")
        cut = [token for line in lines for token in self.inner.tokenize(line + "\n")]
        return cut + self.inner.tokenize(rest) if rest else cut

    def detokenize(self, tokens: Sequence[str]) -> str:
        return self.inner.detokenize(tokens)

    def last_cut(self, text: str) -> int:
        begin = text.rfind("\n") + 1
        return begin + self.inner.last_cut(text[begin:])


def cutting_documents(tokenizer: Tokenizer, kind: str) -> Tokenizer:
    """Return what cuts a text with the setting ``documents``."""
    return LineTokenizer(tokenizer) if kind == LINE_DOCUMENTS else tokenizer


def ends_line(tokenizer: Tokenizer, token: str) -> bool:
    """Whether a token ends a line."""
    return tokenizer.detokenize([token]).endswith("\n")


def tokens_of_documents(files: Iterable[Iterator[str]], tokenizer: Tokenizer, kind: str) -> Iterator[tuple[str, bool]]:
    """Yield the tokens of files, and whether each is the last one of a document.

    Args:
        files: the blocks of each file.
        tokenizer: cuts them.
        kind: the setting ``documents``.
    """
    cutting = cutting_documents(tokenizer, kind)
    for blocks in files:
        held = None
        for token in itertools.chain.from_iterable(tokenize_blocks(blocks, cutting)):
            if held is not None:
                yield held, kind == LINE_DOCUMENTS and ends_line(tokenizer, held)
            held = token
        if held is not None:
            yield held, kind != NO_DOCUMENTS


def with_line_end(blocks: Iterator[str]) -> Iterator[str]:
    """Yield a file's text, and a line feed if it does not end with one."""
    last = "\n"
    for block in blocks:
        yield block
        last = block[-1:] or last
    if last != "\n":
        yield "\n"
