"""The commands that trained a run and that go on with it, spelled for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqlm_core.command_line.column_options import DEFAULTS as DEFAULT_COLUMNS
from seqlm_core.command_line.plugin_files import plugin_flags
from seqlm_core.command_line.setting_options import flag_of, no_flag_of
from seqlm_core.command_line.training_call import TrainingCall
from seqlm_core.errors import UnknownNameError, UsageError
from seqlm_core.plugins.components import ROLES

FLAGS = {
    "validation": "--validation",
    "token_column": "--token-column",
    "label_column": "--label-column",
    "columns": "--column",
    "encoding": "--encoding",
    "vectors": "--vectors",
    "language_model": "--language-model",
    "init_from": "--init-from",
    "plugin_files": "--plugin",
}
"""The options of a training that are no settings, by the names of the commands' parameters."""
DEFAULTS = {**{f"{kind}_column": number for kind, number in DEFAULT_COLUMNS.items()}, "encoding": "utf-8"}


def resume_command(path: Path) -> str:
    """Return the command that resumes a run.

    Raises:
        RunError: the run's configuration cannot be read.
    """
    from seqlm_core.runs.config import LANGUAGE_MODEL
    from seqlm_core.runs.directory import RunDirectory

    config = RunDirectory(path).read_config()
    command = "seqlm train" if config["task"] == LANGUAGE_MODEL else "seqlm tag train"
    return f"{command} --resume {shlex.quote(str(path))}{plugin_flags(config['plugins'])}"


def training_command(path: Path) -> str | None:
    """Return the command that trained a run; None if no command does, or the run does not say of what files.

    Settings are left out that have their defaults, or that would be chosen again for the same files.

    Args:
        path: the run directory.

    Raises:
        RunError: the run's configuration cannot be read.
    """
    try:
        call = TrainingCall.of_run(path)
    except UsageError:  # a model that only Python trains
        return None
    if call.files is None or call.own_code:
        return None
    words = ["seqlm", *call.command, *call.files, *_of_settings(call), *_of_options(call)]
    return shlex.join([*words, "--out", str(path)])


def _of_settings(call: TrainingCall) -> Iterator[str]:
    left_out = call.open_settings() | _chosen_by_plugins(call)
    for name, value in vars(call.settings).items():
        if name in left_out:
            continue
        if isinstance(value, dict):
            for option, chosen in _options_to_give(call, name):
                yield from (flag_of(name), f"{option}={chosen}")
        elif isinstance(value, bool):
            yield flag_of(name) if value else no_flag_of(name)
        else:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield from (flag_of(name), shown)


def _of_options(call: TrainingCall) -> Iterator[str]:
    for name, flag in FLAGS.items():
        value = call.options.get(name)
        if value is not None and value != DEFAULTS.get(name):
            for one in value if isinstance(value, list) else [value]:
                yield from (flag, str(one))
    workers = call.config.get("workers", 1)
    if workers > 1:
        yield from ("--workers", str(workers))


def _chosen_by_plugins(call: TrainingCall) -> set[str]:
    """Return the names of settings that have the values that their plugins suggest, as far as these are here."""
    suggested = {
        "learning_rate": ("optimizer", "default_learning_rate"),
        "min_count": ("tokenizer", "default_min_count"),
        "activation_penalty": ("cell", "default_activation_penalty"),
    }
    found = set()
    for name, (role, attribute) in suggested.items():
        spec = _spec(call, role)
        if spec is not None and getattr(call.settings, name) == getattr(spec, attribute):
            found.add(name)
    return found


def _options_to_give(call: TrainingCall, name: str) -> Iterator[tuple[str, Any]]:
    """Yield those options of a plugin that do not have their defaults; all of them if the plugin is not here."""
    from seqlm_core.plugins.options import option_values

    spec = _spec(call, name[: -len("_options")])
    defaults = {} if spec is None else option_values(spec.options())
    for option, value in getattr(call.settings, name).items():
        if option not in defaults or defaults[option] != value:
            yield option, value


def _spec(call: TrainingCall, role: str) -> Any:
    """Return the record of the plugin that a run has in a role; None if it has none, or the plugin is not here."""
    from seqlm_core.plugins.components import registries
    from seqlm_core.plugins.loading import installed_plugins

    recorded = call.config["plugins"].get(role)
    if role not in ROLES or recorded is None:
        return None
    try:
        return registries(installed_plugins())[role].entry(recorded["name"], recorded["distribution"]).spec
    except UnknownNameError:
        return None
