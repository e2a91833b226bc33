"""Words and punctuation marks, found by NLTK's tokenizer, which needs no downloaded data, or by Unicode's rules.

NLTK knows English: it parts "don't" into "do" and "n't". A line of Chinese is one word to it, and punctuation marks of
other alphabets stay on their words. Unicode's word boundaries (UAX #29) know all scripts: ideographs are words of their
own, and so are the punctuation marks of every script. "don't" stays whole.

A single space before a word belongs to that word's token; other white space, such as that between two paragraphs, is
a token of its own. So the tokens, joined, are the text again.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import logging
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Literal

import seqlm_core as seqlm

logger = logging.getLogger("seqlm")

# Where a text is split before its words are found: words with a space before them, and white space up to that space.
# Longer pieces are no words; cutting them bounds the work.
PIECE = re.compile(r" ?\S{1,200}|\s{1,200}?(?= ?\S|\Z)|\s{1,200}")
LAST_WORD_END = re.compile(r"(?<=\S)\s+\S*\Z")
REMEMBERED_PIECES = 1 << 16
LONGEST_REMEMBERED = 40

# Letters of scripts without spaces between words, and punctuation marks beyond those of English texts. ¡ and ¿ are
# among them; quotation marks, dashes and the like, which NLTK knows or which are rare, are not.
LEFT_ON_WORDS = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Tibetan}\p{Line_Break=Complex_Context}"
    r"[\p{P}--[\x00-\x7f§«¶·»\u2000-\u206f]]]"
)
MOST_LEFT = 0.001
"""Above this share of such characters a text is cut by Unicode's rules. A Spanish dialogue has twice as many."""


@dataclasses.dataclass(frozen=True)
class WordOptions:
    """Options of ``word``."""

    boundaries: Literal["auto", "nltk", "unicode"] = seqlm.option(
        "auto",
        "how words are found: nltk (for English), unicode (word boundaries of UAX #29), or auto: unicode where the "
        "training text has letters or punctuation marks that nltk leaves uncut",
    )


class WordTokenizer:
    """Cuts a text into words, punctuation marks and white space.

    Args:
        boundaries: ``nltk`` or ``unicode``.
    """

    def __init__(self, boundaries: str) -> None:
        self.cut_by(boundaries)

    def cut_by(self, boundaries: str) -> None:
        """Choose how words are found."""
        self.boundaries = boundaries
        split = functools.partial(split_piece, {"nltk": nltk_starts, "unicode": unicode_starts}[boundaries])
        # Most pieces of a text have occurred before.
        remembered = functools.lru_cache(maxsize=REMEMBERED_PIECES)(split)
        self._tokens_of_piece: Callable[[str], tuple[str, ...]] = remembered
        if boundaries == "unicode":  # not so of a script without spaces, and its pieces are long
            self._tokens_of_piece = lambda piece: (remembered if len(piece) <= LONGEST_REMEMBERED else split)(piece)

    def tokenize(self, text: str) -> list[str]:
        return [token for piece in PIECE.findall(text) for token in self._tokens_of_piece(piece)]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def last_cut(self, text: str) -> int:
        # The first white space after a word begins a piece whatever follows, so the text may be cut before it.
        found = LAST_WORD_END.search(text)
        return found.start() if found else 0


class ChoosingWordTokenizer(WordTokenizer):
    """Learns from the training text which boundaries it needs; those of NLTK until then."""

    def __init__(self) -> None:
        super().__init__("nltk")

    def train(self, texts: Iterable[str]) -> None:
        characters = left = 0
        for text in texts:
            characters += len(text)
            left += count_left_on_words(text)
        if left > MOST_LEFT * characters:
            self.cut_by("unicode")
            logger.info(
                "words are cut by Unicode's word boundaries, since %.1f %% of the characters are of scripts without "
                "spaces, or punctuation marks that `tokenizer_options` boundaries=nltk leaves on words",
                100 * left / characters,
            )

    def state(self) -> dict[str, Any]:
        return {"boundaries": self.boundaries}

    def restore(self, state: dict[str, Any]) -> None:
        # A run of before there was a choice has none.
        self.cut_by(state.get("boundaries", "nltk"))


def count_left_on_words(text: str) -> int:
    """Return how many characters of a text NLTK leaves on its words."""
    if text.isascii() or not any(map(is_left_on_words, set(text))):
        return 0
    return sum(count for character, count in collections.Counter(text).items() if is_left_on_words(character))


@functools.cache
def is_left_on_words(character: str) -> bool:
    import regex

    return regex.match(LEFT_ON_WORDS, character, regex.V1) is not None


@functools.cache
def nltk_tokenizer() -> Any:
    # NLTK takes a moment to import, and listing the plugins does not need it.
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


@functools.cache
def unicode_boundary() -> Any:
    import regex

    return regex.compile(r"\b", regex.V1 | regex.WORD)


def nltk_starts(word: str) -> list[int]:
    """Return where NLTK's tokens of a word begin."""
    try:
        return [start for start, _ in nltk_tokenizer().span_tokenize(word)]
    except ValueError:  # NLTK cannot place its own tokens in some odd strings
        return []


def unicode_starts(word: str) -> list[int]:
    """Return where parts of a word begin by Unicode's rules; its end is among them."""
    return [boundary.start() for boundary in unicode_boundary().finditer(word)]


def split_piece(starts_in: Callable[[str], list[int]], piece: str) -> tuple[str, ...]:
    """Return the tokens of a piece that has no white space but for a space at its beginning.

    Args:
        starts_in: returns where tokens of a word begin.
        piece: a word, or white space.
    """
    word = piece.lstrip(" ")
    if not word.strip():
        return (piece,)
    # Each token reaches to the start of the next, so that nothing between them is lost.
    starts = sorted({0, len(word), *starts_in(word)})
    tokens = [word[start:end] for start, end in zip(starts, starts[1:])]
    tokens[0] = piece[: len(piece) - len(word)] + tokens[0]
    return tuple(map(sys.intern, tokens))  # what is remembered of many pieces shares its tokens


def build(options: WordOptions) -> WordTokenizer:
    return ChoosingWordTokenizer() if options.boundaries == "auto" else WordTokenizer(options.boundaries)


@seqlm.hookimpl
def seqlm_tokenizers() -> seqlm.TokenizerSpec:
    return seqlm.TokenizerSpec(
        "word", "words and punctuation (NLTK or Unicode)", build, WordOptions, default_min_count=2
    )
