"""A tokenizer that learns: the most frequent pairs of letters become tokens. A plugin for the runs of ``make.py``."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from typing import Any

import seqlm_core as seqlm

PAIRS = 12


class LetterPairs:
    """Cuts a text into characters and learnt pairs of letters, from left to right; no pair has white space in it."""

    def __init__(self, options: Any) -> None:
        self._pairs: set[str] = set()

    def tokenize(self, text: str) -> list[str]:
        tokens, start = [], 0
        while start < len(text):
            size = 2 if text[start : start + 2] in self._pairs else 1
            tokens.append(text[start : start + size])
            start += size
        return tokens

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def last_cut(self, text: str) -> int:
        return max(text.rfind(" "), 0)

    def train(self, texts: Iterable[str]) -> None:
        text = "".join(texts)
        counts = collections.Counter(a + b for a, b in zip(text, text[1:]) if not (a + b).count(" "))
        self._pairs = set(sorted(counts, key=lambda pair: (-counts[pair], pair))[:PAIRS])

    def state(self) -> dict[str, Any]:
        return {"pairs": sorted(self._pairs)}

    def restore(self, state: dict[str, Any]) -> None:
        self._pairs = set(state["pairs"])


@seqlm.hookimpl
def seqlm_tokenizers() -> seqlm.TokenizerSpec:
    return seqlm.TokenizerSpec("letter-pairs", "pairs of letters, learnt from the text", LetterPairs)
