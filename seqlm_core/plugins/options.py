"""Options of plugins: a plugin declares them as the fields of a dataclass, and users set them."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

from seqlm_core.errors import PluginError, UsageError

TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")


class HasOptions(Protocol):
    """The parts of a plugin's record that matter for its options."""

    @property
    def kind(self) -> str:
        """The kind of the plugin, such as ``cell``."""

    @property
    def name(self) -> str:
        """The name by which users choose the plugin."""

    @property
    def options(self) -> type:
        """The dataclass of the plugin's options."""


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a plugin that has none."""


def option(default: Any, help: str) -> Any:
    """Return a dataclass field for an option with this default and help text."""
    return dataclasses.field(default=default, metadata={"help": help})


def check_options_class(options: type, where: str) -> None:
    """Raise :class:`PluginError` unless ``options`` is a dataclass whose fields have supported types and defaults."""
    if not (isinstance(options, type) and dataclasses.is_dataclass(options)):
        raise PluginError(f"{where}: options must be a dataclass, not {options!r}")
    try:
        types = get_type_hints(options)
        defaults = options()
    except Exception as error:
        raise PluginError(f"{where}: options {options.__name__} cannot be made: {error}") from error
    for field in dataclasses.fields(options):
        if field.default is dataclasses.MISSING:
            raise PluginError(f"{where}: option {field.name!r} has no default")
        kind = types[field.name]
        if kind not in (bool, int, float, str) and not _is_choice(kind):
            raise PluginError(f"{where}: option {field.name!r} must be a bool, int, float, str or a Literal of strings")
        default = getattr(defaults, field.name)
        try:
            _convert(kind, default)
            if isinstance(default, str) and kind in (bool, int, float):
                raise ValueError(f"must be a {kind.__name__}, not the text {default!r}")
        except ValueError as error:
            raise PluginError(f"{where}: default of option {field.name!r} {error}") from error


def make_options(spec: HasOptions, given: Mapping[str, Any]) -> Any:
    """Return the options of ``spec`` with the ``given`` values. Texts are converted to the declared types.

    Raises:
        UsageError: there is no such option, or its value cannot be used.
    """
    types = get_type_hints(spec.options)
    names = [field.name for field in dataclasses.fields(spec.options)]
    values = {}
    for name, value in given.items():
        if name not in names:
            raise UsageError(_unknown_option(spec, name, names))
        try:
            values[name] = _convert(types[name], value)
        except ValueError as error:
            raise UsageError(f"{spec.kind} option {name!r} of {spec.name!r} {error}") from error
    try:
        return spec.options(**values)
    except ValueError as error:
        raise UsageError(f"options of {spec.kind} {spec.name!r}: {error}") from error


def describe_options(options: type) -> list[dict[str, Any]]:
    """Return the name, type, default and help of each option, as plain values."""
    types = get_type_hints(options)
    return [
        {
            "name": field.name,
            "type": _type_name(types[field.name]),
            "default": field.default,
            "help": field.metadata.get("help", ""),
        }
        for field in dataclasses.fields(options)
    ]


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal and all(isinstance(choice, str) for choice in get_args(kind))


def _type_name(kind: Any) -> str:
    return "|".join(get_args(kind)) if _is_choice(kind) else str(kind.__name__)


def _convert(kind: Any, value: Any) -> Any:
    """Return ``value`` as the declared type. A ``ValueError`` says what it must be."""
    if _is_choice(kind):
        if value in get_args(kind):
            return value
        raise ValueError(f"must be one of {', '.join(get_args(kind))}, not {value!r}")
    if kind is str:
        if isinstance(value, str):
            return value
        raise ValueError(f"must be text, not {value!r}")
    if kind is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in TRUE_WORDS + FALSE_WORDS:
            return value.lower() in TRUE_WORDS
        raise ValueError(f"must be true or false, not {value!r}")
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            number = kind(value)
            if math.isfinite(number) and (isinstance(value, str) or number == value):
                return number
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"must be {'a whole number' if kind is int else 'a number'}, not {value!r}")


def _unknown_option(spec: HasOptions, name: str, names: list[str]) -> str:
    if not names:
        return f"{spec.kind} {spec.name!r} has no options, so none called {name!r}"
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return f"{spec.kind} {spec.name!r} has no option {name!r}{hint}; its options: {', '.join(names)}"


def option_values(options: Any) -> dict[str, Any]:
    """Return the options as a dictionary of plain values."""
    if inspect.isclass(options):
        raise TypeError("option_values takes the options themselves, not their class")
    return dataclasses.asdict(options)
