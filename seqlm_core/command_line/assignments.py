"""Options of plugins as the command line is given them: ``NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Iterable

from seqlm_core.errors import UsageError


def parse_assignments(texts: Iterable[str], flag: str) -> dict[str, str]:
    """Turn ``["NAME=VALUE", ...]`` into a dictionary.

    Raises:
        UsageError: a text has no ``=``, or a name is given twice.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(f"{flag} {text!r} must be written NAME=VALUE")
        name = name.replace("-", "_")
        if name in given:
            raise UsageError(f"{flag} {name} is given twice")
        given[name] = value
    return given
