"""Joins tokens to text as they are drawn, whole characters at a time, up to a stop text."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from seqlm_core.plugins.specs import Tokenizer

# Tokenizers of bytes put this in the place of a character whose last bytes are in tokens that have not come yet.
INCOMPLETE = "\ufffd"
# A character has at most four bytes, and so at most four tokens. What is still incomplete then is no character.
LONGEST_CHARACTER = 4


class Assembly:
    """Joins tokens that come one by one, or several at a time.

    Each time only the last tokens are joined again. So neither work nor memory grows with the length of the text.

    Args:
        tokenizer: joins tokens.
        stops: stop texts: each of them ends the text, and is not part of it.
        beginning: what the first token begins with and the text does not: white space at the end of the prompt.

    Attributes:
        stopped: whether a stop text has been found.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = (), beginning: str = "") -> None:
        self.stopped = False
        self._tokenizer = tokenizer
        self._stops = stops
        self._context: list[str] = []  # the last tokens of the text so far, which are joined again with the next ones
        self._pending: list[str] = []  # tokens that end with an incomplete character
        self._held_back = ""  # text that may be the beginning of a stop text
        self._left_out = len(beginning)  # number of characters that still have to be left out

    def add(self, tokens: Sequence[str]) -> tuple[int, str]:
        """Add tokens, up to the one that completes a stop text.

        Returns:
            The number of tokens that were added, and the text that is certain now and was not before.
        """
        if not self._stops:
            return len(tokens), self._certain(tokens)
        pieces = []
        for token in tokens:
            pieces.append(self._release(self._held_back + self._certain([token])))
            if self.stopped:
                break
        return len(pieces), "".join(pieces)

    def with_token(self, token: str) -> Assembly:
        """Return a copy with one more token; this assembly stays as it is."""
        other = copy.copy(self)
        other.add([token])
        return other

    def end(self) -> str:
        """Return the rest of the text, when no more tokens come."""
        return "" if self.stopped else self._held_back + self._joined(self._pending)[self._left_out :]

    def _certain(self, tokens: Sequence[str]) -> str:
        """Add tokens, and return the new text up to the last token that ends with a complete character."""
        pending = [*self._pending, *tokens]
        end, joined = len(pending), self._joined(pending)
        while end and joined.endswith(INCOMPLETE) and INCOMPLETE not in pending[end - 1]:
            end -= 1
            joined = self._joined(pending[:end])
            if len(pending) - end == LONGEST_CHARACTER:
                break
        if end:
            self._context = pending[max(0, end - LONGEST_CHARACTER) : end]
        self._pending = pending[end:]
        if not end:
            return ""
        left_out, self._left_out = self._left_out, 0
        return joined[left_out:]

    def _joined(self, tokens: Sequence[str]) -> str:
        before = self._tokenizer.detokenize(self._context)
        return self._tokenizer.detokenize([*self._context, *tokens])[len(before) :]

    def _release(self, text: str) -> str:
        """Return ``text`` up to the first stop text, or without an end that may be the beginning of a stop text."""
        ends = [text.find(stop) for stop in self._stops if stop in text]
        if ends:
            self.stopped = True
            return text[: min(ends)]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held_back = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest proper beginning of ``stop`` that ``text`` ends with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
