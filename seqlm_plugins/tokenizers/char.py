"""Characters: every Unicode code point is a token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import seqlm_core as seqlm


class CharTokenizer:
    """Cuts a text into its code points."""

    def tokenize(self, text: str) -> list[str]:
        return list(text)

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def last_cut(self, text: str) -> int:
        return len(text)

    def codes(self, text: str) -> np.ndarray:
        if text.isascii():
            return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)

    def token_of(self, code: int) -> str:
        return chr(code)


def build(options: seqlm.NoOptions) -> CharTokenizer:
    return CharTokenizer()


@seqlm.hookimpl
def seqlm_tokenizers() -> seqlm.TokenizerSpec:
    return seqlm.TokenizerSpec("char", "single characters (Unicode code points)", build)
