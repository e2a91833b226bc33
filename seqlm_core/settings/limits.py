"""Types and limits of what a user gives, and the words that refuse everything else."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping
from typing import Any

from seqlm_core.errors import SettingError

TYPE_WORDS: dict[type, str] = {
    bool: "True or False",
    dict: "a dictionary",
    float: "a number",
    int: "a whole number",
    str: "text",
    tuple: "a whole number, or whole numbers for each layer",
}


def check_type(name: str, value: Any, kind: type, accepted: type | tuple[type, ...]) -> None:
    """Raise :class:`SettingError` unless a value is what it has to be.

    Args:
        name: of the setting or argument.
        value: that was given.
        kind: what it has to be, a key of :data:`TYPE_WORDS`.
        accepted: the classes that count as that.
    """
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise SettingError(name, f"must be {TYPE_WORDS[kind]}, not {reprlib.repr(value)}")


def check_limits(name: str, value: Any, kind: type, limits: Mapping[str, Any]) -> None:
    """Raise :class:`SettingError` unless a value is within its limits, and within those of all numbers.

    Args:
        name: of the setting or argument.
        value: of the right type.
        kind: a key of :data:`TYPE_WORDS`.
        limits: ``minimum``, ``maximum``, ``above``, ``below`` and ``choices``, those that there are.
    """
    shown = reprlib.repr(value)
    if kind is float and not -sys.float_info.max <= value <= sys.float_info.max:
        raise SettingError(name, f"must be a finite number, not {shown}")
    if "minimum" in limits and value < limits["minimum"]:
        raise SettingError(name, f"must be at least {limits['minimum']}, not {shown}")
    if "maximum" in limits and value > limits["maximum"]:
        raise SettingError(name, f"must be at most {limits['maximum']}, not {shown}")
    if "above" in limits and value <= limits["above"]:
        raise SettingError(name, f"must be above {limits['above']}, not {shown}")
    if "below" in limits and value >= limits["below"]:
        raise SettingError(name, f"must be below {limits['below']}, not {shown}")
    if "choices" in limits and value not in limits["choices"]:
        raise SettingError(name, f"must be one of {', '.join(limits['choices'])}, not {shown}")
    # 64 bits hold it, so that steps and texts can be counted anywhere.
    if kind is int and value >= 2**63:
        raise SettingError(name, f"must be below 2**63, not {shown}")
