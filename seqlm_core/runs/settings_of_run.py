"""Settings that depend on an earlier run, when it is resumed and when a new run begins with its weights."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from seqlm_core.errors import SettingError
from seqlm_core.plugins.components import Components
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.runs.run import Run
from seqlm_core.settings.fields import facts, make_settings, names_of
from seqlm_core.settings.schedules import WITHOUT_END
from seqlm_core.settings.training_settings import UNDER_A_SCHEDULE_WITHOUT_END, SettingsT


def settings_to_begin_from(run: Run[SettingsT], given: Mapping[str, Any]) -> SettingsT:
    """Return the settings of a new run that begins with the weights of ``run``.

    Those that shape the model are the settings of ``run``, all others are the ``given`` ones.

    Raises:
        SettingError: a given setting shapes the model and differs from that of ``run``.
    """
    theirs = {name: getattr(run.settings, name) for name in names_of(type(run.settings), "shapes_model")}
    asked = _with_changes(run, {name: value for name, value in given.items() if name in theirs})
    unchanged = _with_changes(run, {})  # with the defaults of options that a plugin did not have then
    for name in theirs:
        if getattr(asked, name) != getattr(unchanged, name):
            raise SettingError(name, f"is {theirs[name]!r} in the run to begin from, and cannot be {given[name]!r}")
    return make_settings(type(run.settings), {**given, **theirs})


def plugins_of_model(run: Run[SettingsT]) -> dict[str, Any]:
    """Return the record of each plugin of a run that shapes its model, by role."""
    shaping = names_of(type(run.settings), "shapes_model")
    return {role: plugin for role, plugin in run.config["plugins"].items() if role in shaping}


def resumed_settings(run: Run[SettingsT], changes: Mapping[str, Any]) -> SettingsT:
    """Return the settings of a resumed run.

    Raises:
        SettingError: after a change, the run would differ from an uninterrupted one.
    """
    settings = run.settings
    new = _with_changes(run, changes)
    changeable = facts(type(settings), "changeable")
    for name in changes:
        if getattr(new, name) == getattr(settings, name):
            continue
        if name not in changeable:
            raise SettingError(
                name, f"was {getattr(settings, name)!r} when the run began and cannot change on resuming"
            )
        if changeable[name] == UNDER_A_SCHEDULE_WITHOUT_END and settings.schedule not in WITHOUT_END:
            raise SettingError(
                name,
                f"cannot change on resuming a run whose {settings.schedule} schedule depends on it; "
                f"`init_from` {shlex.quote(str(run.path))} begins a new run with its weights, and a run with "
                f"`schedule` {' or '.join(WITHOUT_END)} can be made longer",
            )
    # All others stay as they were recorded, even if a plugin has more options now.
    return settings.replace(**{name: getattr(new, name) for name in changes if name in changeable})


def _with_changes(run: Run[SettingsT], changes: Mapping[str, Any]) -> SettingsT:
    """Return a run's settings with some of them changed, and with all options converted.

    An option that is given changes only itself; a plugin's other options stay.
    """
    kept = dataclasses.asdict(run.settings)
    for name, value in changes.items():
        if value != kept.get(name):
            kept.pop(f"{name}_options", None)  # another plugin has other options
    merged = {
        name: {**kept.get(name, {}), **value} if name.endswith("_options") else value for name, value in changes.items()
    }
    wanted = make_settings(type(run.settings), {**kept, **merged})
    return Components.choose(wanted, installed_plugins(), run.config["plugins"]).resolve(wanted)
