"""What can be done with the run directory of any training."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

import numpy as np

from seqlm_core.arguments import checked_path
from seqlm_core.checkpoint import select
from seqlm_core.components import Component, Components, check_plugins_of_run
from seqlm_core.errors import RunError, UsageError
from seqlm_core.plugins import installed_plugins
from seqlm_core.reading.text import PathLike
from seqlm_core.registry import Registry, SpecT
from seqlm_core.run_directory import RunDirectory
from seqlm_core.settings import SettingsT, make_settings
from seqlm_core.specs import CellSpec
from seqlm_core.texts import TrainingTexts

if TYPE_CHECKING:
    from seqlm_core.mxnet import mx
    from seqlm_core.training.session import Session


class TrainedRun(Generic[SettingsT]):
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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self.path)!r})"

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    @functools.cached_property
    def settings(self) -> SettingsT:
        """The settings of the training, and what was chosen where the user left it open."""
        try:
            settings: SettingsT = make_settings(self.settings_class, self.config["settings"])
        except UsageError as error:
            raise RunError(f"{self.directory.config} holds a setting that cannot be used: {error}") from error
        settings = settings.replace(embedding_size=self._token_embedding_size)
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
        settings, recorded = self.settings, self.config["plugins"].get(role, {})
        try:
            return Component.choose(
                registry, getattr(settings, role), getattr(settings, f"{role}_options"), recorded.get("distribution")
            )
        except UsageError as error:
            raise self._does_not_fit(error) from error

    def _does_not_fit(self, error: UsageError) -> RunError:
        return RunError(f"{self.directory.config} does not fit the plugins that are here: {error}")

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """The parameters of the best epoch by name; of the last step, as long as no epoch is over."""
        directory = self.directory
        arrays, _ = directory.load(directory.best if directory.best.exists() else directory.last)
        return select(arrays, "model")

    def change_settings(self, settings: SettingsT) -> None:
        """Write other settings into the run's configuration."""
        self.config["settings"] = dataclasses.asdict(settings)
        self.directory.write_config(self.config)
        self.settings = settings

    def history(self) -> list[dict[str, Any]]:
        """Return the figures of the training; see :mod:`seqlm_core.training.extensions.history`.

        Raises:
            RunError: they are missing or damaged.
        """
        from seqlm_core.training.extensions.history import read_history

        directory = self.directory
        state = directory.load(directory.last)[1]["history"] if directory.last.exists() else None
        return read_history(directory.history, directory.run_id, state)

    def session(self, texts: TrainingTexts, settings: SettingsT, device: mx.Context) -> Session:
        """Return a training that can go on with this run, on the texts that it was begun with."""
        raise NotImplementedError
