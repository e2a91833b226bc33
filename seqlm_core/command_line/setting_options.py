"""Command-line options made from the settings of a training and from the decoding rules."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import click

from seqlm_core.command_line.assignments import parse_assignments
from seqlm_core.command_line.completion import complete_plugins
from seqlm_core.command_line.help import GroupedOption
from seqlm_core.settings.fields import setting_types


class SizesType(click.ParamType):
    """A size, or several with commas between them: ``512`` or ``1150,1150,400``."""

    name = "sizes"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            sizes = tuple(int(size) for size in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor several with commas between them.", parameter, context)
        return sizes if len(sizes) > 1 else sizes[0]


SIZES = SizesType()

PLUGINS = {"cell": "cell", "char_cell": "cell", "tokenizer": "tokenizer", "optimizer": "optimizer"}
"""The kinds of plugins that settings name."""


def setting_options(kind: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command an option for each setting, in the order of the fields.

    An option that the user does not give is passed as None, so that it differs from one that is given its default.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed(dataclasses.fields(kind)):
            function = setting_option(kind, field.name)(function)
        return function

    return decorate


def given_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the user gave, ``NAME=VALUE`` texts taken apart; what was a dictionary stays one.

    Raises:
        UsageError: an assignment is not one.
    """
    given = {}
    for name, value in values.items():
        if name.endswith("_options"):
            if value:
                given[name] = value if isinstance(value, dict) else parse_assignments(value, flag_of(name))
        elif value is not None:
            given[name] = value
    return given


def flag_of(setting: str) -> str:
    """Return the option for a setting: ``--hidden-size``, or ``--cell-option`` for one of ``cell_options``."""
    flag = "--" + setting.replace("_", "-")
    return flag[:-1] if flag.endswith("-options") else flag


def no_flag_of(setting: str) -> str:
    """Return the option that sets a setting of a training to False: ``--no-tie-weights``."""
    return f"--no-{flag_of(setting)[2:]}"


def setting_option(kind: type[Any], name: str, **changes: Any) -> Callable[[Any], Any]:
    """Return a decorator that gives a command the option of a setting; ``changes`` replace its attributes."""
    field = next(field for field in dataclasses.fields(kind) if field.name == name)
    attributes = {**_attributes(field, setting_types(kind)[name]), **changes}
    if name in PLUGINS:
        attributes["shell_complete"] = complete_plugins(PLUGINS[name])
    flag, group = flag_of(name), field.metadata.get("group")
    if group is not None and attributes.get("is_flag"):  # of a training, for which a file may say otherwise
        flag = f"{flag}/{no_flag_of(name)}"
    return click.option(flag, name, cls=GroupedOption, group=group, **attributes)


def _attributes(field: dataclasses.Field[Any], kind: type) -> dict[str, Any]:
    """Return the attributes of a setting's option, as click names them."""
    text = field.metadata["help"]
    if kind is dict:
        return {"metavar": "NAME=VALUE", "multiple": True, "help": f"{text} May be given several times."}
    if kind is bool:
        return {"is_flag": True, "default": None, "help": text}
    if field.default is not None:
        text += f"  [default: {field.default}]"
    if "choices" in field.metadata:
        return {"type": click.Choice(field.metadata["choices"]), "default": None, "help": text}
    if kind is tuple:
        return {"type": SIZES, "default": None, "metavar": "SIZES", "help": text}
    metavar = field.metadata.get("metavar", {int: "N", float: "X", str: "TEXT"}[kind])
    return {"type": kind, "default": None, "metavar": metavar, "help": text}
