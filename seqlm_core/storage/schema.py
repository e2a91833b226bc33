"""What the values read from a file must be: small descriptions of JSON, and one function that compares.

A description is a :class:`Kind`; ``[description]``, a list of such; ``[description, ...]``, a list of at least one;
``(one, other)``, a list of exactly these; or ``{"name": description}``, an object with these members. A name that ends
with ``?`` may be missing. ``...`` as a name describes all other members, which may be anything without it.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
import sys
from typing import Any, Callable


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a plain value must be.

    Attributes:
        words: for messages.
        fits: whether a value is one.
    """

    words: str
    fits: Callable[[Any], bool]


def optional(kind: Kind) -> Kind:
    """Return the kind that may be null too."""
    return Kind(f"{kind.words}, or null", lambda value: value is None or kind.fits(value))


def one_of(*choices: str) -> Kind:
    """Return the kind of these texts."""
    return Kind(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices)


def text_like(pattern: str, words: str) -> Kind:
    """Return the kind of texts that a pattern matches as a whole."""
    return Kind(words, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


LARGEST_WHOLE = 2**63 - 1  # what arrays of counts and native code can hold
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
        value: as ``json.loads`` returns it.
        wanted: see above.
        where: what the value is called.

    Raises:
        ValueError: it is something else; the message names the first part that is.
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
            if not (isinstance(wanted[0], Kind) and wanted[0].fits(item)):  # most are, and their name takes time
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
