"""Command-line options made from the fields of :class:`seqlm_core.settings.Settings`."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import click

from seqlm_core.options import parse_assignments
from seqlm_core.settings import Settings, setting_types


def setting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with an option for each setting, in the order of the fields.

    An option that is not given is passed as None, so that what a user gave can be told from what they did not.
    """
    for field in reversed(dataclasses.fields(Settings)):
        function = _option(field)(function)
    return function


def given_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the user gave, ``NAME=VALUE`` texts taken apart.

    Raises:
        UsageError: an assignment is not one.
    """
    given = {}
    for name, value in values.items():
        if name.endswith("_options"):
            if value:
                given[name] = parse_assignments(value, name[: -len("_options")])
        elif value is not None:
            given[name] = value
    return given


def flag_of(setting: str) -> str:
    """Return the option for a setting: ``--hidden-size``, or ``--cell-option`` for one of ``cell_options``."""
    flag = "--" + setting.replace("_", "-")
    return flag[:-1] if flag.endswith("-options") else flag


def _option(field: dataclasses.Field[Any]) -> Callable[[Any], Any]:
    kind = setting_types()[field.name]
    flag = flag_of(field.name)
    text = field.metadata["help"]
    if kind is dict:
        help_text = f"{text} May be given several times."
        return click.option(flag, field.name, metavar="NAME=VALUE", multiple=True, help=help_text)
    if kind is bool:
        return click.option(flag, field.name, is_flag=True, default=None, help=text)
    if field.default is not None:
        text += f"  [default: {field.default}]"
    return click.option(
        flag,
        field.name,
        type=click.Choice(field.metadata["choices"]) if "choices" in field.metadata else kind,
        default=None,
        metavar=None if "choices" in field.metadata else {int: "N", float: "X", str: "TEXT"}[kind],
        help=text,
    )
