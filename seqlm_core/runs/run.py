"""What can be done with the run directory of any training."""

from __future__ import annotations

import dataclasses
import functools
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

import numpy as np

from seqlm_core.errors import RunError, UsageError
from seqlm_core.plugins.components import ROLES, Component, Components, check_plugins_of_run
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.registry import Registry, SpecT
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.history import STATE, read_history
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.settings.fields import make_settings
from seqlm_core.settings.settings import SettingsT
from seqlm_core.storage.checkpoint import Checkpoint, select
from seqlm_core.storage.schema import check

if TYPE_CHECKING:
    from seqlm_core.model.recurrent_network import RecurrentNetwork


class Run(Generic[SettingsT]):
    """A run on disk.

    Args:
        path: the run directory.

    Raises:
        RunError: it is no run directory, it is damaged, it holds a model of another kind, or a plugin that it needs is
            missing.
    """

    task: ClassVar[str]
    """As the configuration records it."""
    settings_class: ClassVar[type[Any]]

    def __init__(self, path: PathLike) -> None:
        self.directory = RunDirectory(checked_path("path", path))
        self.config = self.directory.read_config()
        if self.config["task"] != self.task:
            raise RunError(f"{self.path} holds a {self.config['task']}, not a {self.task}")
        check_plugins_of_run(self.config["plugins"], installed_plugins(), ["cell", "tokenizer", "char_cell"])
        self._check_plugin_names()
        _ = self.architecture

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self.path)!r})"

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    @functools.cached_property
    def _recorded_settings(self) -> SettingsT:
        """The settings as the configuration has them, with which the architecture is compared."""
        try:
            settings: SettingsT = make_settings(self.settings_class, self.config["settings"])
        except UsageError as error:
            raise RunError(f"{self.directory.config} holds a setting that cannot be used: {error}") from error
        return settings

    @functools.cached_property
    def settings(self) -> SettingsT:
        """The settings of the training, and what was chosen where the user left it open."""
        settings = self._recorded_settings.replace(embedding_size=self._token_embedding_size)
        try:
            components = Components.choose(settings, installed_plugins(), self.config["plugins"])
        except UsageError:  # told where the plugin is needed
            return settings
        return components.resolve(settings)

    @property
    def _token_embedding_size(self) -> int | None:
        """The size of the embeddings of tokens; 0 where they are read one-hot, None where none are read."""
        raise NotImplementedError

    @functools.cached_property
    def components(self) -> Components:
        """The plugins of the run, the optimizer included, which only resuming needs."""
        check_plugins_of_run(self.config["plugins"], installed_plugins(), ["optimizer"])
        try:
            return Components.choose(self.settings, installed_plugins(), self.config["plugins"])
        except UsageError as error:
            raise self._does_not_fit(error) from error

    @functools.cached_property
    def cell(self) -> Component[CellSpec]:
        """The run's cell, with its options."""
        return self._component(installed_plugins().cells, "cell")

    def _component(self, registry: Registry[SpecT], role: str) -> Component[SpecT]:
        """Return what the run was made with in a role, such as ``cell``."""
        settings, recorded = self._recorded_settings, self.config["plugins"].get(role, {})
        try:
            return Component.choose(
                registry, getattr(settings, role), getattr(settings, f"{role}_options"), recorded.get("distribution")
            )
        except UsageError as error:
            raise self._does_not_fit(error) from error

    def _does_not_fit(self, error: UsageError) -> RunError:
        return RunError(f"{self.directory.config} does not fit the plugins that are here: {error}")

    def _check_plugin_names(self) -> None:
        recorded = {role: plugin["name"] for role, plugin in self.config["plugins"].items()}
        for role in ROLES:
            named = getattr(self._recorded_settings, role, None)
            if named != recorded.get(role):
                raise RunError(
                    f"{self.directory.config} is damaged: its settings name {named!r} as {role}, and its plugins "
                    f"{reprlib.repr(recorded.get(role))}"
                )

    @functools.cached_property
    def architecture(self) -> Any:
        """Kinds and sizes of the model, which are those that the settings and plugins make."""
        try:
            return self._checked_architecture()
        except ValueError as error:
            raise RunError(f"{self.directory.config} is damaged: {error}") from error

    def _checked_architecture(self) -> Any:
        """Return the architecture; raise :class:`ValueError` if it is not one of the settings and plugins."""
        raise NotImplementedError

    def _check_meaning(self, path: Path, found: Mapping[str, object]) -> None:
        """Compare the sizes of a vocabulary, or the like, with the architecture.

        Raises:
            RunError: one differs.
        """
        for name, value in found.items():
            expected = getattr(self.architecture, name)
            if value != expected:
                raise RunError(
                    f"{path} does not fit {self.directory.config.name}: it makes the model's {name} {value!r}, not "
                    f"{expected!r}"
                )

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """The parameters of the best epoch by name; of the last step, as long as no epoch is over."""
        directory = self.directory
        arrays, _ = self._load(directory.best if directory.best.exists() else directory.last)
        return select(arrays, "model")

    def check_weights(self) -> None:
        """Find out whether the weights fit the model, before one of its sizes is made, which may fit no memory.

        Raises:
            RunError: they do not, or are damaged.
        """
        from seqlm_core.model.build import check_weights

        try:
            check_weights(self._build_network(), self.weights)
        except ValueError as error:
            raise RunError(f"the weights of {self.path} do not fit {self.directory.config.name}: {error}") from error

    def last_checkpoint(self) -> Checkpoint | None:
        """Return arrays and state of the last checkpoint; None before there is one.

        Raises:
            RunError: it is damaged, or does not fit the run's model; it says whether the best weights are whole.
        """
        from seqlm_core.model.build import check_weights

        directory = self.directory
        if not directory.last.exists():
            return None
        try:
            arrays, state = self._load(directory.last)
            check_weights(self._build_network(), select(arrays, "model"))
        except (RunError, ValueError) as error:
            told = str(error) if isinstance(error, RunError) else f"{directory.last} is damaged: {error}"
            if directory.best.exists():
                self._load(directory.best)
                told += "; the run cannot go on, but its best weights are whole"
            raise RunError(told) from error
        return arrays, state

    def _load(self, path: Path) -> Checkpoint:
        """Return arrays and state of a checkpoint whose weights fit the architecture, as far as is known without MXNet.

        Raises:
            RunError: it is missing or damaged, or belongs to another run.
        """
        arrays, state = self.directory.load(path)
        weights = select(arrays, "model")
        try:
            for name, array in weights.items():
                if array.dtype != np.float32:
                    raise ValueError(f"parameter {name!r} is of type {array.dtype}, and must be float32")
            self._check_parameters(weights)
        except ValueError as error:
            raise RunError(f"{path} does not fit {self.directory.config.name}: {error}") from error
        return arrays, state

    def _check_parameters(self, weights: Mapping[str, np.ndarray]) -> None:
        """Raise :class:`ValueError` where weights are known not to fit the architecture without building the model."""

    def _build_network(self) -> RecurrentNetwork:
        """Return the model of the architecture; its parameters have no values yet."""
        raise NotImplementedError

    def change_settings(self, settings: SettingsT) -> None:
        """Write what other settings change into the run's configuration.

        The rest stays as recorded, without what was filled in: the checkpoints hold a digest of some of it.
        """
        before, after = dataclasses.asdict(self.settings), dataclasses.asdict(settings)
        changed = {name: value for name, value in after.items() if value != before[name]}
        self.config["settings"] = {**self.config["settings"], **changed}
        self.directory.write_config(self.config)
        self.settings = settings

    def history(self) -> list[dict[str, Any]]:
        """Return the figures of the training; see :mod:`seqlm_core.runs.history`.

        Raises:
            RunError: they are missing or damaged.
        """
        directory = self.directory
        state = directory.load(directory.last)[1] if directory.last.exists() else None
        try:
            if state is not None:
                check(state, {"history": STATE}, "its state")
        except ValueError as error:
            raise RunError(f"{directory.last} is damaged: {error}") from error
        return read_history(directory.history, directory.run_id, state and state["history"])
