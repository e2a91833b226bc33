"""Words and punctuation marks, found by NLTK's tokenizer, which needs no downloaded data, or by Unicode's rules.

NLTK's rules are made for English: they split "don't" into "do" and "n't". But they take a line of Chinese as one word,
and do not split punctuation marks of other alphabets from words. Unicode's word boundaries (UAX #29) cover all scripts:
each ideograph is a word, and so is each punctuation mark of any script. "don't" stays whole.

A single space before a word is part of the word's token. Other white space, such as that between two paragraphs, is a
token of its own. So the tokens, joined, are the text again.
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

# A text is first split into pieces, in which words are then found: words with a space before them, and the white space
# up to that space. Longer pieces are not words; they are cut to limit the work.
PIECE = re.compile(r" ?\S{1,200}|\s{1,200}?(?= ?\S|\Z)|\s{1,200}")
LAST_WORD_END = re.compile(r"(?<=\S)\s+\S*\Z")
SEARCHED_FIRST = 1000
"""In so many characters at the end of a text there is nearly always a word's end; searching all of it takes longer."""
REMEMBERED_PIECES = 1 << 16
LONGEST_REMEMBERED = 40

# Letters of scripts without spaces between words, and punctuation marks that do not occur in English texts, such as ¡
# and ¿. Quotation marks, dashes and the like are left out, since NLTK splits them off or they are rare.
LEFT_ON_WORDS = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Tibetan}\p{Line_Break=Complex_Context}"
    r"[\p{P}--[\x00-\x7f§«¶·»\u2000-\u206f]]]"
)
MOST_LEFT = 0.001
"""A text with more than this share of them is cut by Unicode's rules. A Spanish dialogue has twice as many."""


@dataclasses.dataclass(frozen=True)
class WordOptions:
    """Options of ``word``."""

    boundaries: Literal["auto", "nltk", "unicode"] = seqlm.option(
        "auto",
        "how words are found: nltk (for English); unicode (word boundaries of UAX #29); or auto, which is unicode if "
        "the training text has letters or punctuation marks that nltk does not split off",
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
        # Most pieces of a text occurred earlier in it.
        remembered = functools.lru_cache(maxsize=REMEMBERED_PIECES)(split)
        self._tokens_of_piece: Callable[[str], tuple[str, ...]] = remembered
        if boundaries == "unicode":  # long pieces, of scripts without spaces, do not occur again
            self._tokens_of_piece = lambda piece: (remembered if len(piece) <= LONGEST_REMEMBERED else split)(piece)

    def tokenize(self, text: str) -> list[str]:
        return [token for piece in PIECE.findall(text) for token in self._tokens_of_piece(piece)]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def last_cut(self, text: str) -> int:
        # The first white space after a word always begins a piece, so the text may be cut before it.
        found = LAST_WORD_END.search(text, max(0, len(text) - SEARCHED_FIRST)) or LAST_WORD_END.search(text)
        return found.start() if found else 0


class ChoosingWordTokenizer(WordTokenizer):
    """Learns from the training text which boundaries it needs. Before that, it uses those of NLTK."""

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
        # Runs of versions without this choice have an empty state.
        self.cut_by(state.get("boundaries", "nltk"))


def count_left_on_words(text: str) -> int:
    """Return how many characters of a text NLTK does not split from words, though they should be."""
    if text.isascii() or not any(map(is_left_on_words, set(text))):
        return 0
    return sum(count for character, count in collections.Counter(text).items() if is_left_on_words(character))


@functools.cache
def is_left_on_words(character: str) -> bool:
    import regex

    return regex.match(LEFT_ON_WORDS, character, regex.V1) is not None


@functools.cache
def nltk_tokenizer() -> Any:
    # Importing NLTK takes a moment, and listing the plugins does not need it.
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
    """Return where parts of a word begin by Unicode's rules. The end of the word is among these positions."""
    return [boundary.start() for boundary in unicode_boundary().finditer(word)]


def split_piece(starts_in: Callable[[str], list[int]], piece: str) -> tuple[str, ...]:
    """Return the tokens of a piece.

    Args:
        starts_in: a function that returns where the tokens of a word begin.
        piece: a word, which may have one space before it; or white space.
    """
    word = piece.lstrip(" ")
    if not word.strip():
        return (piece,)
    # Each token ends where the next one begins, so that nothing between them is lost.
    starts = sorted({0, len(word), *starts_in(word)})
    tokens = [word[start:end] for start, end in zip(starts, starts[1:])]
    tokens[0] = piece[: len(piece) - len(word)] + tokens[0]
    return tuple(map(sys.intern, tokens))  # remembered pieces share the strings of equal tokens


def build(options: WordOptions) -> WordTokenizer:
    return ChoosingWordTokenizer() if options.boundaries == "auto" else WordTokenizer(options.boundaries)


@seqlm.hookimpl
def seqlm_tokenizers() -> seqlm.TokenizerSpec:
    return seqlm.TokenizerSpec(
        "word", "words and punctuation (NLTK or Unicode)", build, WordOptions, default_min_count=2
    )
