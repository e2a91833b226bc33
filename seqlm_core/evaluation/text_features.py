"""Properties of a text, character by character, and the hidden units of a model that follow them best.

Karpathy, Johnson and Fei-Fei 2015 (https://arxiv.org/abs/1506.02078) found such units by looking at many; here they are
ranked by how well their values correlate with a property.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

LEAST_DIFFERENT = 5
"""A property must hold at so many places, and not hold at as many, to be followed."""
LEAST_CORRELATION = 0.3
UNITS_OF_A_FEATURE = 3

OPENING, CLOSING = "([{", ")]}"


@dataclasses.dataclass(frozen=True)
class FollowingUnit:
    """A hidden unit that follows a property of the text.

    Attributes:
        feature: the property, in words.
        layer: the name of the unit's layer.
        unit: its number, from 0.
        correlation: Pearson's correlation of the unit's value after each token with the property at the token's last
            character, from -1 to 1.
    """

    feature: str
    layer: str
    unit: int
    correlation: float


def following_units(texts: Sequence[str], activations: Mapping[str, np.ndarray]) -> list[FollowingUnit]:
    """Return the units that follow properties of a text best, at most three for each, the best first.

    Args:
        texts: what each token adds to the text.
        activations: the values of the units after each token, ``(tokens, units)``, by layer.
    """
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    last = np.cumsum(lengths) - 1
    whole = "".join(texts)
    found = []
    for feature, values_of in FEATURES.items():
        if not whole:
            break
        values = np.asarray(values_of(whole), dtype=np.float64)[np.maximum(last, 0)]
        if min(np.sum(values > values.min()), np.sum(values < values.max())) < LEAST_DIFFERENT:
            continue
        units = [
            FollowingUnit(feature, layer, int(unit), float(correlations[unit]))
            for layer, array in activations.items()
            for correlations in [correlation(array, values)]
            for unit in np.argsort(-np.abs(correlations), kind="stable")[:UNITS_OF_A_FEATURE]
        ]
        units = [unit for unit in units if abs(unit.correlation) >= LEAST_CORRELATION]
        found += sorted(units, key=lambda unit: -abs(unit.correlation))[:UNITS_OF_A_FEATURE]
    return sorted(found, key=lambda unit: -abs(unit.correlation))


def correlation(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each column ``(places, columns)`` with ``values (places,)``; 0 for a constant."""
    centred = columns.astype(np.float64) - columns.mean(axis=0, dtype=np.float64)
    other = values - values.mean()
    norms = np.sqrt(np.square(centred).sum(axis=0) * np.square(other).sum())
    return np.divide(other @ centred, norms, out=np.zeros(columns.shape[1]), where=norms > 1e-12)


def inside_quotes(text: str) -> list[int]:
    """Return 1 between double quotes and on the first of them; a paragraph ends a quotation."""
    inside, values = 0, []
    for place, character in enumerate(text):
        if character == "\n" and text[place - 1 : place] == "\n":
            inside = 0
        elif character == '"':
            inside = 1 - inside
        elif character in "\u201c\u201d\u00ab\u00bb":
            inside = int(character in "\u201c\u00ab")
        values.append(inside)
    return values


def inside_brackets(text: str) -> list[int]:
    """Return how many brackets are open after each character."""
    depth, values = 0, []
    for character in text:
        depth = max(0, depth + (character in OPENING) - (character in CLOSING))
        values.append(depth)
    return values


def place_in_line(text: str) -> list[int]:
    """Return the number of characters since the last line feed."""
    return _since(text, lambda character: character == "\n")


def place_in_word(text: str) -> list[int]:
    """Return the number of letters and digits since the last other character."""
    return _since(text, lambda character: not character.isalnum())


def place_in_sentence(text: str) -> list[int]:
    """Return the number of characters since the last full stop, question mark or exclamation mark."""
    return _since(text, lambda character: character in ".!?\u3002")


def indentation(text: str) -> list[int]:
    """Return the number of spaces and tabs at the beginning of the line so far."""
    depth, at_beginning, values = 0, True, []
    for character in text:
        if character == "\n":
            depth, at_beginning = 0, True
        elif at_beginning and character in " \t":
            depth += 1
        else:
            at_beginning = False
        values.append(depth)
    return values


def _since(text: str, ends: Callable[[str], bool]) -> list[int]:
    count, values = 0, []
    for character in text:
        count = 0 if ends(character) else count + 1
        values.append(count)
    return values


def _where(holds: Callable[[str], bool]) -> Callable[[str], list[int]]:
    return lambda text: [int(holds(character)) for character in text]


FEATURES: dict[str, Callable[[str], Sequence[float]]] = {
    "quotations": inside_quotes,
    "brackets": inside_brackets,
    "the place in the line": place_in_line,
    "the place in the word": place_in_word,
    "the place in the sentence": place_in_sentence,
    "the indentation": indentation,
    "capital letters": _where(str.isupper),
    "digits": _where(str.isdigit),
    "white space": _where(str.isspace),
    "line ends": _where("\n".__eq__),
    "punctuation": _where(lambda character: not character.isalnum() and not character.isspace()),
    "vowels": _where(lambda character: character.lower() in "aeiou"),
}
"""Functions that give each character of a text a number, by what they measure."""
