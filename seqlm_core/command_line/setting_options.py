"""Command-line options made from the fields of the settings in :mod:`seqlm_core.settings.settings`."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import click

from seqlm_core.command_line.assignments import parse_assignments
from seqlm_core.settings.fields import setting_types
from seqlm_core.settings.settings import TrainingSettings


def setting_options(kind: type[TrainingSettings]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command an option for each setting, in the order of the fields.

    An option that is not given is passed as None, so that what a user gave can be told from what they did not.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed(dataclasses.fields(kind)):
            function = _option(field, setting_types(kind)[field.name])(function)
        return function

    return decorate


def given_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the user gave, ``NAME=VALUE`` texts taken apart.

    Raises:
        UsageError: an assignment is not one.
    """
    given = {}
    for name, value in values.items():
        if name.endswith("_options"):
            if value:
                given[name] = parse_assignments(value, flag_of(name))
        elif value is not None:
            given[name] = value
    return given


def flag_of(setting: str) -> str:
    """Return the option for a setting: ``--hidden-size``, or ``--cell-option`` for one of ``cell_options``."""
    flag = "--" + setting.replace("_", "-")
    return flag[:-1] if flag.endswith("-options") else flag


def _option(field: dataclasses.Field[Any], kind: type) -> Callable[[Any], Any]:
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
