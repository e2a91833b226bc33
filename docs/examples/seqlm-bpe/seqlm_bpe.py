"""Byte-pair encoding (Sennrich et al. 2016) over the bytes of the text: frequent sequences of bytes become tokens.

Learning: the text is cut into pieces, about the words, and each piece into its bytes in UTF-8. Then the pair of tokens
that stands side by side most often within the pieces becomes one token, again and again. Cutting: within each piece the
same pairs are joined in the same order. No token crosses from one piece to the next.

A token is written as a string with one character for each byte, chr(byte): ASCII looks like itself. There are 256
bytes, so every text can be cut, whatever was in the training text.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import seqlm_core as seqlm

BYTES = [chr(byte) for byte in range(256)]
REMEMBERED_PIECES = 1 << 16

# The limit of 60 keeps a text without spaces from being one endless piece.
PIECE = re.compile(
    r"""
    [\ud800-\udfff]                     # half of a surrogate pair, which has no bytes in UTF-8
    | [^\w\r\n]?\w{1,60}               # a word, with the space, quote or bracket before it
    | [ ]?[^\w\s\ud800-\udfff]{1,60}   # punctuation, with the space before it
    | [\r\n]{1,60}                     # line ends
    | [^\S\r\n]{1,60}(?!\S)            # other white space, but for its last character if a word follows
    | \s
    """,
    re.VERBOSE,
)
BYTE_CHARACTERS = re.compile(r"[\0-\xff]+")


@dataclasses.dataclass(frozen=True)
class BPEOptions:
    merges: int = seqlm.option(500, "How many pairs become tokens, beside the single bytes.")

    def __post_init__(self) -> None:
        if self.merges < 0:
            raise ValueError(f"merges must be at least 0, not {self.merges}")


class BPETokenizer:
    """Cuts a text into frequent sequences of bytes, which it learns from the training text."""

    def __init__(self, options: BPEOptions) -> None:
        self._options = options
        self._use([])

    def tokenize(self, text: str) -> list[str]:
        return [token for piece in PIECE.findall(text) for token in self._tokens_of_piece(piece)]

    def detokenize(self, tokens: Sequence[str]) -> str:
        # A model may make up a part of a character; it is shown as U+FFFD.
        return BYTE_CHARACTERS.sub(lambda run: run[0].encode("latin-1").decode("utf-8", "replace"), "".join(tokens))

    def last_cut(self, text: str) -> int:
        # What follows may lengthen or join the last piece, and no other.
        return max((piece.start() for piece in PIECE.finditer(text)), default=0)

    def train(self, texts: Iterable[str]) -> None:
        from tokenizers import Tokenizer, models, trainers

        trainer = trainers.BpeTrainer(
            vocab_size=len(BYTES) + self._options.merges,
            min_frequency=2,
            initial_alphabet=BYTES,
            show_progress=False,
        )
        learner = Tokenizer(models.BPE())
        learner.train_from_iterator(map(bytes_of, self._pieces(texts)), trainer)
        self._use(json.loads(learner.to_str())["model"]["merges"])

    def state(self) -> dict[str, Any]:
        return {"merges": self._merges}

    def restore(self, state: dict[str, Any]) -> None:
        self._use([(str(left), str(right)) for left, right in state["merges"]])

    def _pieces(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield the pieces of a text that comes in parts with borders anywhere."""
        rest = ""
        for text in texts:
            rest += text
            cut = self.last_cut(rest)
            yield from PIECE.findall(rest[:cut])
            rest = rest[cut:]
        yield from PIECE.findall(rest)

    def _use(self, merges: Sequence[Sequence[str]]) -> None:
        from tokenizers import models

        self._merges = [list(pair) for pair in merges]
        tokens = dict.fromkeys([*BYTES, *(left + right for left, right in self._merges)])
        numbers = {token: number for number, token in enumerate(tokens)}
        model = models.BPE(numbers, [(left, right) for left, right in self._merges])

        def tokens_of_piece(piece: str) -> tuple[str, ...]:
            if "\ud800" <= piece <= "\udfff":
                return (piece,)
            return tuple(token.value for token in model.tokenize(bytes_of(piece)))

        # Most pieces of a text have occurred before.
        self._tokens_of_piece = functools.lru_cache(maxsize=REMEMBERED_PIECES)(tokens_of_piece)


def bytes_of(text: str) -> str:
    """Return the bytes of a text in UTF-8, each as the character of its number."""
    return text.encode("utf-8", "replace").decode("latin-1")


@seqlm.hookimpl
def seqlm_tokenizers() -> seqlm.TokenizerSpec:
    return seqlm.TokenizerSpec("bpe", "byte-pair encoding, learnt from the text", BPETokenizer, BPEOptions)
