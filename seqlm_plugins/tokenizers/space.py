"""Words between white space, for texts that are cut into words already, such as Penn Treebank and WikiText.

A single space before a word is part of the word's token, and one before a line end is part of the line end's. In these
corpora every word and every line end has a space before it. So each word is one entry of the vocabulary, the line end
is one entry (the ``<eos>`` of the literature), and nothing else is a token. In other texts, the first word of a line
has no space before it, and is another token than the same word within a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import seqlm_core as seqlm

# A word; a line end; or other white space, up to the word or the line end that follows it.
TOKEN = re.compile(r" ?\S+| ?\r?\n|[^\S\n]+?(?= ?\S| ?\r?\n|\Z)")
LAST_WORD_END = re.compile(r"(?<=\S)\s+\S*\Z")
SEARCHED_FIRST = 1000
"""In so many characters at the end of a text there is nearly always a word's end; searching all of it takes longer."""


class SpaceTokenizer:
    """Cuts a text into words and line ends."""

    def tokenize(self, text: str) -> list[str]:
        return TOKEN.findall(text)

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def last_cut(self, text: str) -> int:
        # Whatever follows, a token ends at each line end, and before the first white space after a word.
        found = LAST_WORD_END.search(text, max(0, len(text) - SEARCHED_FIRST)) or LAST_WORD_END.search(text)
        return max(text.rfind("\n") + 1, found.start() if found else 0)


def build(options: seqlm.NoOptions) -> SpaceTokenizer:
    return SpaceTokenizer()


@seqlm.hookimpl
def seqlm_tokenizers() -> seqlm.TokenizerSpec:
    return seqlm.TokenizerSpec("space", "words between white space, and line ends", build)
