"""Settings of a training in a TOML file: ``--config``. What is given on the command line comes before it."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from seqlm_core.command_line.assignments import parse_assignments
from seqlm_core.command_line.help import GroupedCommand
from seqlm_core.errors import SettingError, UsageError
from seqlm_core.plugins.components import ROLES
from seqlm_core.settings.fields import setting_types
from seqlm_core.settings.limits import check_limits, check_type
from seqlm_core.settings.settings import LanguageSettings, SequenceSettings
from seqlm_core.settings.sizes import check_sizes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOT_IN_FILES = ("config", "resume", "workers", "restarts", "kvstore", "overwrite")
"""The parameters that say what is done now, and not what is trained."""
LISTS = {"files": str, "validation": str, "plugin_files": str, "columns": int}
"""The parameters that may have several values, and the type of each."""
TYPES = {"token_column": int, "label_column": int, "quiet": bool}
"""The types of the other parameters that are no settings, unless they are texts."""
OTHER: dict[type[Any], str] = {LanguageSettings: "'seqlm tag train'", SequenceSettings: "'seqlm train'"}
"""Which command trains with the settings that a kind has not."""


@dataclasses.dataclass(frozen=True)
class Given:
    """A value in a file, and the key as it is written there."""

    key: str
    value: Any


class TrainingCommand(GroupedCommand):
    """A command that trains, whose values can come from a file.

    Args:
        settings: the class of its settings.
    """

    def __init__(self, *arguments: Any, settings: type[Any], **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.settings = settings

    @property
    def keys(self) -> dict[str, str]:
        """The names of the parameters that a file can hold, by their keys."""
        return {_key(parameter): str(parameter.name) for parameter in self.params if parameter.name not in NOT_IN_FILES}

    def invoke(self, context: click.Context) -> Any:
        """Run the command, with the values in ``--config`` of what was not given; errors name the file."""
        file = context.params.pop("config")
        if file is None:
            return super().invoke(context)
        if context.params["resume"] is not None:
            raise UsageError("--resume goes on with a run as it began; --config is for new runs")
        read = read_config_file(file, self)
        taken = _take(read, context)
        try:
            return super().invoke(context)
        except SettingError as error:
            if error.setting not in taken:
                raise
            raise UsageError(f"{file}: {read[error.setting].key} {error.problem}") from error
        except UsageError as error:
            if any(_is_of_plugin(error, role, read, taken) for role in ROLES):
                raise UsageError(f"{file}: {error}") from error
            raise


def read_config_file(file: str, command: TrainingCommand) -> dict[str, Given]:
    """Return the values in a file by the names of the command's parameters.

    Raises:
        UsageError: the file cannot be read, or is not TOML; a key is unknown, or a value is of a wrong type or out of
            its limits.
    """
    try:
        values = tomllib.loads(Path(file).read_bytes().decode())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is not TOML: {error}; 'seqlm config' writes such files") from error
    names = {spelled: name for key, name in command.keys.items() for spelled in (_plain(key), name)}
    read: dict[str, Given] = {}
    for key, value in values.items():
        name = names.get(_plain(key))
        if name is None:
            raise UsageError(f"{file}: {_unknown(key, command)}")
        if name in read:
            raise UsageError(f"{file}: {key} is given twice, as {read[name].key} too; remove one of them")
        try:
            read[name] = Given(key, _checked(name, value, command.settings))
        except SettingError as error:
            raise UsageError(f"{file}: {key} {error.problem}") from error
    return read


def _checked(name: str, value: Any, kind: type[Any]) -> Any:
    """Return a value as the command line would give it; raise :class:`SettingError` if it cannot be used."""
    types = setting_types(kind)
    if name in LISTS:
        values = value if isinstance(value, list) else [value]
        for one in values:
            check_type(name, one, LISTS[name], LISTS[name])
        return tuple(values)
    if name not in types:
        check_type(name, value, TYPES.get(name, str), TYPES.get(name, str))
        return value
    field = next(field for field in dataclasses.fields(kind) if field.name == name)
    if types[name] is tuple:
        check_sizes(name, value, field.metadata)
        return tuple(value) if isinstance(value, list) else value
    if types[name] is dict:
        if not isinstance(value, dict):
            raise SettingError(name, f"must be a table of options, such as {{ beta1 = 0.8 }}, not {value!r}")
        return {_plain(option): chosen for option, chosen in value.items()}
    if types[name] is str and type(value) in (int, float):
        raise SettingError(name, f'must be text: write "{value}"')
    check_type(name, value, types[name], (int, float) if types[name] is float else types[name])
    check_limits(name, value, types[name], field.metadata)
    return value


def _take(read: Mapping[str, Given], context: click.Context) -> set[str]:
    """Set the parameters of a command that were not given to the values in a file, and return their names.

    A plugin's options in the file are joined with those that were given, unless another plugin was given: that has
    other options.
    """
    taken = set()
    for name, given in read.items():
        if name.endswith("_options"):
            role = name[: -len("_options")]
            if role in read and context.params[role] not in (None, read[role].value):
                continue
            asked = parse_assignments(context.params[name], f"--{_option_of(role)}")
            context.params[name] = {**given.value, **asked}
            taken.add(name)
        elif not _is_given(name, context):
            context.params[name] = given.value
            taken.add(name)
    return taken


def _is_given(name: str, context: click.Context) -> bool:
    if name == "files":
        return bool(context.params[name])
    return context.get_parameter_source(name) != click.core.ParameterSource.DEFAULT


def _option_of(role: str) -> str:
    return f"{role.replace('_', '-')}-option"


def _is_of_plugin(error: UsageError, role: str, read: Mapping[str, Given], taken: set[str]) -> bool:
    """Whether an error names a plugin that the file names in a role, or one of its options there."""
    named = [read[role].value] if role in taken else []
    options = list(read[f"{role}_options"].value) if f"{role}_options" in taken else []
    return any(repr(name) in str(error) for name in named + options)


def _unknown(key: str, command: TrainingCommand) -> str:
    """Return what to say of a key that the command does not know."""
    if any(_plain(key) == name for name in NOT_IN_FILES):
        return f"{key} is not for files; give it on the command line"
    others = {field.name for kind in OTHER for field in dataclasses.fields(kind)}
    if _plain(key) in others:
        return f"{key} is a setting of {OTHER[command.settings]} alone; remove it"
    nearest = difflib.get_close_matches(_plain(key), [_plain(known) for known in command.keys], n=1)
    if nearest:
        return f"there is no {key!r}; did you mean {nearest[0].replace('_', '-')!r}?"
    return f"there is no {key!r}; the keys are the options of the command without their dashes, and 'files'"


def _key(parameter: click.Parameter) -> str:
    return str(parameter.name) if isinstance(parameter, click.Argument) else max(parameter.opts, key=len)[2:]


def _plain(key: str) -> str:
    return key.replace("-", "_")
