"""Descriptions of what a JSON file must hold, and a function that compares values with them.

A description is one of these:

- a :class:`Kind`;
- ``[description]``: a list whose items fit the description; it may be empty;
- ``[description, ...]``: a list of at least one such item;
- ``(one, other)``: a list of exactly these items;
- ``{"name": description}``: an object with these members. A member whose name ends with ``?`` may be missing. The name
  ``...`` describes all other members; without it they may be anything.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
import sys
from typing import Any, Callable


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of plain value.

    Attributes:
        words: what messages call it, such as "a text".
        fits: whether a value is of this kind.
    """

    words: str
    fits: Callable[[Any], bool]


def optional(kind: Kind) -> Kind:
    """Return the same kind, but null is allowed too."""
    return Kind(f"{kind.words}, or null", lambda value: value is None or kind.fits(value))


def one_of(*choices: str) -> Kind:
    """Return the kind whose values are these texts."""
    return Kind(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices)


def text_like(pattern: str, words: str) -> Kind:
    """Return the kind of texts that match a regular expression as a whole."""
    return Kind(words, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


LARGEST_WHOLE = 2**63 - 1  # the largest number in arrays of counts and in native code
LARGEST_NUMBER = sys.float_info.max

TEXT = Kind("a text", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
WHOLE = Kind("a whole number of 64 bits", lambda value: type(value) is int and -LARGEST_WHOLE <= value <= LARGEST_WHOLE)
COUNT = Kind("a whole number from 0 to 2**63 - 1", lambda value: type(value) is int and 0 <= value <= LARGEST_WHOLE)
NUMBER = Kind(
    "a finite number", lambda value: type(value) in (int, float) and -LARGEST_NUMBER <= value <= LARGEST_NUMBER
)
LABEL = Kind("a text or a whole number", lambda value: type(value) in (str, int))
PLAIN = Kind("a text, a number, true, false or null", lambda value: not isinstance(value, (list, dict)))
ANYTHING = Kind("anything", lambda value: True)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))


def check(value: Any, wanted: Any, where: str = "it") -> None:
    """Compare a value with a description.

    Args:
        value: what ``json.loads`` returned.
        wanted: the description.
        where: what messages call the value.

    Raises:
        ValueError: the value does not fit; the message names the first part that does not.
    """
    if isinstance(wanted, Kind):
        if not wanted.fits(value):
            raise _other(where, wanted.words, value)
    elif isinstance(wanted, dict):
        _check_object(value, wanted, where)
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            raise _other(where, "a list", value)
        if len(wanted) > 1 and not value:
            raise ValueError(f"{where} must not be empty")
        for number, item in enumerate(value):
            if not (isinstance(wanted[0], Kind) and wanted[0].fits(item)):  # most do, and their names take time
                check(item, wanted[0], f"{where}[{number}]")
    else:
        if not isinstance(value, list) or len(value) != len(wanted):
            raise _other(where, f"a list of {len(wanted)}", value)
        for number, (item, kind) in enumerate(zip(value, wanted)):
            check(item, kind, f"{where}[{number}]")


def _check_object(value: Any, wanted: dict[Any, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise _other(where, OBJECT.words, value)
    members = {name.removesuffix("?"): kind for name, kind in wanted.items() if name is not ...}
    for name in wanted:
        if name is not ... and not name.endswith("?") and name not in value:
            raise ValueError(f"{where} has no {name!r}")
    for name, member in value.items():
        kind = members.get(name, wanted.get(...))
        if kind is not None:
            check(member, kind, f"{where}[{reprlib.repr(name)}]")


def _other(where: str, words: str, value: Any) -> ValueError:
    return ValueError(f"{where} must be {words}, not {reprlib.repr(value)}")
