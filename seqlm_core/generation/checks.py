"""Checks of the arguments of sampling and infilling, except for decoding rules."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence

from seqlm_core.errors import SettingError
from seqlm_core.settings.arguments import check_argument
from seqlm_core.settings.decoding_rules import DecodingRules

# Limits for what is kept in memory until the end: the continuations of a beam, and the best of many fillings.
WIDEST_BEAM = 1000
LONGEST_OF_BEAM = 10_000
# The fillings after each sweep are kept in memory.
MOST_SWEEPS = 1000


def check_drawing(count: int, length: int) -> None:
    """Raise :class:`SettingError` unless the number and length of texts to draw are valid."""
    check_argument("count", count, int, minimum=1)
    check_argument("length", length, int, minimum=0)


def check_beam(beam: int, count: int, length: int, rules: DecodingRules, seed: int | None) -> None:
    """Raise :class:`SettingError` unless the arguments of a beam search are valid, and none is given for drawing."""
    check_argument("beam", beam, int, minimum=0, maximum=WIDEST_BEAM)
    check_argument("count", count, int, minimum=1)
    check_argument("length", length, int, minimum=0)
    if count > beam:
        raise SettingError("count", f"is {count}, and a beam of {beam} has no more texts than that")
    if length > LONGEST_OF_BEAM:
        raise SettingError("length", f"must be at most {LONGEST_OF_BEAM} with a beam, not {length}")
    plain = DecodingRules()
    given = [name for name, value in dataclasses.asdict(rules).items() if value != getattr(plain, name)]
    if seed is not None:
        given.append("seed")
    if given:
        raise SettingError(given[0], "is for drawing, and a beam searches for the most probable text")


def check_infilling(count: int, sweeps: int, temperature: float) -> None:
    """Raise :class:`SettingError` unless the arguments of infilling are valid."""
    check_argument("count", count, int, minimum=1)
    check_argument("sweeps", sweeps, int, minimum=0, maximum=MOST_SWEEPS)
    DecodingRules(temperature=temperature)
    if temperature == 0 and count > WIDEST_BEAM:
        raise SettingError("count", f"must be at most {WIDEST_BEAM} at temperature 0, not {count}")


def checked_stops(stop: str | Sequence[str]) -> list[str]:
    """Return the stop texts as a list; raise :class:`SettingError` if one is empty or is not a text."""
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, Sequence):
        raise SettingError("stop", f"must be a text or a list of texts, not {stop!r}")
    for text in stops:
        check_argument("stop", text, str)
        if not text:
            raise SettingError("stop", "must not be empty")
    return list(stops)


def checked_seed(seed: int | None) -> int:
    """Return the seed, or a random one if it is None; raise :class:`SettingError` if it is out of range."""
    if seed is None:
        return secrets.randbits(63)
    check_argument("seed", seed, int, minimum=0)
    return int(seed)
