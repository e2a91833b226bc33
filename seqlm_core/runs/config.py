"""The content of a run's ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError, UsageError
from seqlm_core.plugins.registry import THIS_PROGRAM
from seqlm_core.settings.fields import facts, make_settings
from seqlm_core.settings.schedules import OF_A_USER
from seqlm_core.settings.settings import LanguageSettings, SequenceSettings
from seqlm_core.settings.training_settings import TrainingSettings
from seqlm_core.storage.schema import COUNT, OBJECT, TEXT, Kind, check, one_of, text_like

CONFIG_FORMAT = 2
COMPRESSED_FORMAT = 3
"""The format of runs whose weights have 8 bits, which versions refuse that would not know what to make of them."""
LANGUAGE_MODEL = "language model"
SEQUENCE_MODEL = "sequence model"

_PLUGIN = {"name": TEXT, "distribution": TEXT, "version": TEXT}
_TEXT_FILE = {"path": TEXT, "bytes": COUNT, "digest": TEXT, "folder?": TEXT}
_CONFIG = {
    "run_id?": text_like("[0-9a-f]{32}", "32 digits in hexadecimal"),
    "task": one_of(LANGUAGE_MODEL, SEQUENCE_MODEL),
    "settings": OBJECT,
    "architecture": OBJECT,
    "plugins": {"cell": _PLUGIN, "optimizer": _PLUGIN, ...: _PLUGIN},
    "texts": {"training": [_TEXT_FILE], "validation": [_TEXT_FILE]},
    "imported_from?": TEXT,
    "threads": text_like("[1-9][0-9]{0,8}", "a number of threads, as a text"),
    "workers?": COUNT,
    "kernels": TEXT,
    "extensions?": [TEXT],
}
"""Description of the values that are read from any run's configuration. Settings and architecture are checked
elsewhere."""
_TRAINED = {"texts": {"training": [_TEXT_FILE, ...]}}
_COMPRESSED = {"compressed": {"bits": Kind("8", lambda value: value == 8), "from": TEXT, "weights": TEXT}}
_CONFIG_OF_FORMAT: dict[int, dict[Any, Any]] = {CONFIG_FORMAT: {}, COMPRESSED_FORMAT: _COMPRESSED}
_CONFIG_OF_TASK: dict[str, dict[Any, Any]] = {
    LANGUAGE_MODEL: {
        "plugins": {"tokenizer": _PLUGIN},
        "training_tokens": COUNT,
        "training_unknown_tokens?": COUNT,
        "validation_tokens": COUNT,
        "validation_unknown_tokens?": COUNT,
    },
    SEQUENCE_MODEL: {
        "vectors?": {"source": TEXT, "digest": TEXT},
        "language_model?": {"path": TEXT, "digest": TEXT},
        "read_from?": OBJECT,
    },
}

_SETTINGS: dict[str, type[Any]] = {LANGUAGE_MODEL: LanguageSettings, SEQUENCE_MODEL: SequenceSettings}


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """Check that a configuration has this format, and that the values that are read from it have the right types.

    Args:
        config: the configuration.
        path: the file that it was read from, for the error.

    Raises:
        RunError: it has another format, or a value is missing or has a wrong type.
    """
    if config.get("format") not in tuple(_CONFIG_OF_FORMAT):
        read = " and ".join(map(str, _CONFIG_OF_FORMAT))
        raise RunError(f"{path} has format {config.get('format')!r}, and this version of seqlm reads {read}")
    try:
        check(config, _CONFIG, "the configuration")
        check(config, _CONFIG_OF_FORMAT[config["format"]], "the configuration")
        check(config, _CONFIG_OF_TASK[config["task"]], "the configuration")
        if "imported_from" not in config:
            check(config, _TRAINED, "the configuration")
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error


def is_compressed(config: Mapping[str, Any]) -> bool:
    """Return whether a checked configuration is of a run whose weights have 8 bits."""
    return config["format"] == COMPRESSED_FORMAT


def recorded_settings(config: Mapping[str, Any], path: Path) -> Any:
    """Return the settings in a checked configuration as they are recorded; those that are open may be None.

    Args:
        config: the configuration.
        path: the file that it was read from, for the error.

    Raises:
        RunError: a setting cannot be used.
    """
    kind = _SETTINGS[config["task"]]
    try:
        return make_settings(kind, {**facts(kind, "of_older_runs"), **config["settings"]})
    except UsageError as error:
        raise RunError(f"{path} holds a setting that cannot be used: {error}") from error


def code_of_user(config: Mapping[str, Any], settings: TrainingSettings) -> list[str]:
    """Return what the user gave to a training in Python, in words: only Python can give it again.

    Args:
        config: a checked configuration.
        settings: the settings in it.
    """
    plugins = [
        f"the {role} {plugin['name']!r} of a program"
        for role, plugin in config["plugins"].items()
        if plugin["distribution"] == THIS_PROGRAM.distribution
    ]
    extensions = [f"the extension {name}" for name in config.get("extensions", [])]
    schedule = [f"the schedule {settings.schedule!r}"] if settings.schedule.startswith(OF_A_USER) else []
    return [*plugins, *extensions, *schedule]
