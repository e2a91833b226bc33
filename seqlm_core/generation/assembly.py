"""Text put together from tokens as they come, whole characters at a time, until a stop text."""

from __future__ import annotations

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
        text: that is certain so far.
        stopped: whether a stop text has come.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self.text = ""
        self.stopped = False
        self._tokenizer = tokenizer
        self._stops = stops
        self._tokens: list[str] = []
        self._context = 0  # joined again as the context of what follows
        self._joined = 0  # joined already
        self._held_back = ""

    def add(self, token: str) -> str:
        """Take a token, and return what of the text has become certain."""
        self._tokens.append(token)
        before = self._tokenizer.detokenize(self._tokens[self._context : self._joined])
        after = self._tokenizer.detokenize(self._tokens[self._context :])
        if after.endswith(INCOMPLETE) and INCOMPLETE not in token:
            return ""
        self._context, self._joined = self._joined, len(self._tokens)
        return self._release(self._held_back + after[len(before) :])

    def add_until_stop(self, tokens: Sequence[str]) -> int:
        """Take tokens up to the one with which a stop text has come; return how many."""
        for number, token in enumerate(tokens, 1):
            self.add(token)
            if self.stopped:
                return number
        return len(tokens)

    def end(self) -> str:
        """Return what is left, when no more tokens come."""
        rest = self._tokenizer.detokenize(self._tokens[self._context :])
        rest = self._held_back + rest[len(self._tokenizer.detokenize(self._tokens[self._context : self._joined])) :]
        self._held_back = ""
        if self.stopped:
            return ""
        self.text += rest
        return rest

    def _release(self, pending: str) -> str:
        """Return ``pending`` up to a stop text, or but for an end that may become one."""
        ends = [pending.find(stop) for stop in self._stops if stop in pending]
        if ends:
            self.stopped = True
            released, self._held_back = pending[: min(ends)], ""
        else:
            held = max((_overlap(pending, stop) for stop in self._stops), default=0)
            released, self._held_back = pending[: len(pending) - held], pending[len(pending) - held :]
        self.text += released
        return released


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of ``text`` that ``stop`` begins with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
