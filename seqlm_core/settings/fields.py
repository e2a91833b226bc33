"""How settings are declared, as fields of a dataclass with all that is known of them, and how they are checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping
from typing import Any, TypeVar

from seqlm_core.errors import SettingError, UsageError
from seqlm_core.settings.limits import check_limits, check_type
from seqlm_core.settings.sizes import check_sizes

GROUPS = ("text", "model", "training", "output", "advanced")
"""The groups of the options of a training, in the order in which help shows them."""

KindT = TypeVar("KindT")
ValueT = TypeVar("ValueT")

_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "dict": dict, "Sizes": tuple}


def setting(default: Any, help: str, **facts: Any) -> Any:
    """Return a field with what is known of the setting.

    Args:
        default: its default.
        help: what it is, as the command line shows it.
        facts: ``group``, one of :data:`GROUPS`; the limits ``minimum``, ``maximum``, ``above``, ``below`` and
            ``choices``; ``metavar``, what the help calls a value if not by its type; ``shapes_model``, whether a model
            that begins with the weights of a run takes it from that run; ``changeable``, whether it may change when a
            run is resumed: True, or ``UNDER_A_SCHEDULE_WITHOUT_END``; ``tokens_only``, whether a model of values has no
            use for it; ``needs``, the setting without which it has no use; ``of_older_runs``, its value in runs that
            began before there was this setting.
    """
    if default == {}:
        return dataclasses.field(default_factory=dict, metadata={"help": help, **facts})
    return dataclasses.field(default=default, metadata={"help": help, **facts})


def chosen(value: ValueT | None) -> ValueT:
    """Return a setting that a user may leave open, of settings in which nothing is open any more."""
    if value is None:
        raise TypeError("a setting has not been chosen yet")
    return value


def facts(kind: type[Any], name: str) -> dict[str, Any]:
    """Return a fact, such as ``changeable``, of all settings of a kind of which it is known."""
    return {field.name: field.metadata[name] for field in dataclasses.fields(kind) if name in field.metadata}


def names_of(kind: type[Any], fact: str) -> tuple[str, ...]:
    """Return the names of the settings of a kind of which a fact is true, such as ``shapes_model``."""
    return tuple(name for name, holds in facts(kind, fact).items() if holds)


def setting_types(kind: type[Any]) -> dict[str, type]:
    """Return the plain type of each setting, ``None`` left out; ``tuple`` where each layer can have a size."""
    return {
        field.name: _TYPES[str(field.type).partition("[")[0].replace(" | None", "")]
        for field in dataclasses.fields(kind)
    }


def make_settings(kind: type[KindT], given: Mapping[str, Any], called: str = "setting") -> KindT:
    """Return settings of a kind with the ``given`` values; an error calls each of them what they are ``called``.

    Raises:
        UsageError: a name is not a setting, or a value is out of its range.
    """
    of_kind: Any = kind
    names = [field.name for field in dataclasses.fields(of_kind)]
    for name in given:
        if name not in names:
            raise UsageError(f"no {called} {name!r}; there are: {', '.join(names)}")
    return kind(**given)


def check_settings(settings: Any, besides: Container[str] = ()) -> None:
    """Raise :class:`SettingError` unless all settings but ``besides`` are of their types and within their limits.

    A setting whose default is None may be None. Numbers have to be Python's own, since a run records them as JSON.
    """
    types = setting_types(type(settings))
    for field in dataclasses.fields(settings):
        value, kind = getattr(settings, field.name), types[field.name]
        if field.name in besides or (value is None and field.default is None):
            continue
        if value is None:
            raise SettingError(field.name, "must not be None")
        if kind is tuple:
            check_sizes(field.name, value, field.metadata)
            continue
        check_type(field.name, value, kind, (int, float) if kind is float else kind)
        check_limits(field.name, value, kind, field.metadata)
