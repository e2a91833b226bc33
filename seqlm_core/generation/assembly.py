"""Text put together from tokens as they come, whole characters at a time, until a stop text."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from seqlm_core.plugins.specs import Tokenizer

# What stands for the rest of a character whose bytes are in tokens still to come.
INCOMPLETE = "\ufffd"
# The most tokens that a character's bytes are in. What is not whole after so many is no character.
LONGEST_CHARACTER = 4


class Assembly:
    """The text of tokens that come one by one, or several at a time.

    Only the last tokens are joined anew each time, so that neither work nor memory grows with the text.

    Args:
        tokenizer: joins tokens.
        stops: texts that end the text and are no part of it.
        beginning: that the first token has and the text has not.

    Attributes:
        stopped: whether a stop text has come.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = (), beginning: str = "") -> None:
        self.stopped = False
        self._tokenizer = tokenizer
        self._stops = stops
        self._context: list[str] = []  # the tokens joined last, which are joined again with those that follow
        self._pending: list[str] = []  # tokens whose last character is not whole yet
        self._held_back = ""
        self._left_out = len(beginning)  # characters still to be left out

    def add(self, tokens: Sequence[str]) -> tuple[int, str]:
        """Take tokens, up to the one with which a stop text has come.

        Returns:
            How many were taken, and what of the text has become certain.
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
        """Return the assembly as it is with a token more, and leave this one as it is."""
        other = copy.copy(self)
        other.add([token])
        return other

    def end(self) -> str:
        """Return what is left, when no more tokens come."""
        return "" if self.stopped else self._held_back + self._joined(self._pending)[self._left_out :]

    def _certain(self, tokens: Sequence[str]) -> str:
        """Take tokens, and return the text up to the last of them that ends with a whole character."""
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
        """Return ``text`` up to a stop text, or but for an end that may become one."""
        ends = [text.find(stop) for stop in self._stops if stop in text]
        if ends:
            self.stopped = True
            return text[: min(ends)]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held_back = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of ``text`` that ``stop`` begins with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
