"""Text put together from tokens as they come, whole characters at a time, until a stop text."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from seqlm_core.specs import Tokenizer

# What stands for the rest of a character whose bytes are in tokens still to come.
INCOMPLETE = "\ufffd"


class Assembly:
    """The text of tokens that come one by one.

    Only the last tokens are joined anew each time, so that the work does not grow with the text.

    Args:
        tokenizer: joins tokens.
        stops: texts that end the text and are no part of it.

    Attributes:
        stopped: whether a stop text has come.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self.stopped = False
        self._tokenizer = tokenizer
        self._stops = stops
        self._context: list[str] = []  # the tokens joined last, which are joined again with those that follow
        self._pending: list[str] = []  # tokens whose last character is not whole yet
        self._held_back = ""

    def add(self, token: str) -> str:
        """Take a token, and return what of the text has become certain."""
        self._pending = [*self._pending, token]
        joined = self._joined_pending()
        if joined.endswith(INCOMPLETE) and INCOMPLETE not in token:
            return ""
        self._context, self._pending = self._pending, []
        return self._release(self._held_back + joined)

    def with_token(self, token: str) -> Assembly:
        """Return the assembly as it is with a token more, and leave this one as it is."""
        other = copy.copy(self)
        other.add(token)
        return other

    def add_until_stop(self, tokens: Sequence[str]) -> tuple[int, str]:
        """Take tokens up to the one with which a stop text has come.

        Returns:
            How many were taken, and what of the text has become certain.
        """
        pieces = []
        for token in tokens:
            pieces.append(self.add(token))
            if self.stopped:
                break
        return len(pieces), "".join(pieces)

    def end(self) -> str:
        """Return what is left, when no more tokens come."""
        return "" if self.stopped else self._held_back + self._joined_pending()

    def _joined_pending(self) -> str:
        before = self._tokenizer.detokenize(self._context)
        return self._tokenizer.detokenize([*self._context, *self._pending])[len(before) :]

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
