"""What runs of all kinds have in common."""

from __future__ import annotations

import dataclasses
import functools
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from seqlm_core.errors import RunError, UsageError
from seqlm_core.plugins.components import ROLES, Component, Components, check_plugins_of_run
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.registry import Registry, SpecT
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.runs.compression import compress_run
from seqlm_core.runs.config import recorded_settings
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.history import SAMPLE, records_of
from seqlm_core.runs.stored_weights import weights_in
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.settings.training_settings import SettingsT
from seqlm_core.storage.checkpoint import Checkpoint, layout, select
from seqlm_core.storage.quantization import Matrix, floats

if TYPE_CHECKING:
    from seqlm_core.model.recurrent_network import RecurrentNetwork

RunT = TypeVar("RunT", bound="Run[Any]")


class Run(Generic[SettingsT]):
    """A run on disk.

    Args:
        path: the run directory.

    Raises:
        RunError: the directory holds no run or a model of another kind, is damaged, or needs a plugin that is missing.
    """

    task: ClassVar[str]
    """The kind of the model, as the configuration records it."""

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

    @property
    def imported_from(self) -> str | None:
        """The folder that the model was imported from; None if it was trained here."""
        found: str | None = self.config.get("imported_from")
        return found

    @property
    def without_figures(self) -> str:
        """What to say of the run if there are no figures in its history."""
        if self.imported_from is not None:
            return f"{self.path} has no figures: it was imported, and not trained here"
        return f"{self.path} has no figures yet: the first come with the first report or epoch"

    @functools.cached_property
    def _recorded_settings(self) -> SettingsT:
        """The settings as the configuration records them. The architecture is compared with these."""
        settings: SettingsT = recorded_settings(self.config, self.directory.config)
        return settings

    @functools.cached_property
    def settings(self) -> SettingsT:
        """The settings of the training; those that the user left open have the values that were chosen."""
        settings = self._recorded_settings.replace(embedding_size=self._token_embedding_size)
        try:
            components = Components.choose(settings, installed_plugins(), self.config["plugins"])
        except UsageError:  # the error comes where the plugin is needed
            return settings
        return components.resolve(settings)

    @property
    def _token_embedding_size(self) -> int | None:
        """The size of the tokens' embeddings; 0 for one-hot vectors, None if the model reads no tokens."""
        raise NotImplementedError

    @functools.cached_property
    def components(self) -> Components:
        """The plugins of the run, including the optimizer, which only resuming needs."""
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
        """Return the run's plugin in a role, such as ``cell``."""
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
        """The kinds and sizes of the model, which follow from the settings and plugins."""
        try:
            return self._checked_architecture()
        except ValueError as error:
            raise RunError(f"{self.directory.config} is damaged: {error}") from error

    def _checked_architecture(self) -> Any:
        """Return the recorded architecture; raise :class:`ValueError` if it does not fit the settings and plugins."""
        raise NotImplementedError

    def _check_against_architecture(self, path: Path, found: Mapping[str, object]) -> None:
        """Compare the sizes that follow from a vocabulary or codecs with the architecture.

        Args:
            path: the file of the vocabulary or codecs.
            found: the sizes, by their names in the architecture.

        Raises:
            RunError: a size differs.
        """
        for name, value in found.items():
            expected = getattr(self.architecture, name)
            if value != expected:
                raise RunError(
                    f"{path} does not fit {self.directory.config.name}: it makes the model's {name} {value!r}, not "
                    f"{expected!r}"
                )

    @property
    def weights_file(self) -> Path:
        """The checkpoint that holds :attr:`weights`."""
        return self.directory.best if self.directory.best.exists() else self.directory.last

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """The parameters of the best epoch, by name; those of the last checkpoint if no epoch has ended yet.

        They are averaged where the training has an average of them. Those of a compressed run are what its 8 bits stand
        for.
        """
        return {name: floats(weight) for name, weight in self.stored_weights(self.weights_file)[0].items()}

    def stored_weights(self, path: Path) -> tuple[dict[str, Matrix], dict[str, Any]]:
        """Return the same of one of the checkpoints as it is stored, with 8 bits in a compressed run, and the state."""
        arrays, state = self._load(path)
        return {**weights_in(arrays), **select(arrays, "average/")}, state

    def compress(self: RunT, out: PathLike, *, bits: int = 8, overwrite: bool = False) -> RunT:
        """Write a run whose weights have 8 bits, of about a quarter of the size, and return it.

        It can be used as any other, and another training can begin with its weights, but it cannot be resumed.

        Args:
            out: the directory of the new run.
            bits: 8, the only number that there is.
            overwrite: whether to replace a run that is in ``out``.

        Raises:
            UsageError: ``out`` cannot be used, there is no such number of bits, or the run is compressed already.
            RunError: the run is damaged, or has no weights yet.
        """
        compress_run(self, out, bits, overwrite)
        return type(self)(out)

    def check_weights(self) -> None:
        """Check that the weights fit the model, before a network is built whose size may exceed the memory.

        Raises:
            RunError: the weights do not fit, or are damaged.
        """
        from seqlm_core.model.build import check_weights

        try:
            check_weights(self._build_network(), self.weights)
        except ValueError as error:
            raise RunError(f"the weights of {self.path} do not fit {self.directory.config.name}: {error}") from error

    def last_checkpoint(self) -> Checkpoint | None:
        """Return the arrays and the state of the last checkpoint; None if there is none yet.

        Raises:
            RunError: it is damaged, or does not fit the run's model; the error says whether the best weights are whole.
        """
        from seqlm_core.model.build import check_weights

        directory = self.directory
        if not directory.last.exists():
            return None
        try:
            arrays, state = self._load(directory.last)
            check_weights(self._build_network(), select(arrays, "model/"))
        except (RunError, ValueError) as error:
            message = str(error) if isinstance(error, RunError) else f"{directory.last} is damaged: {error}"
            if directory.best.exists():
                self._load(directory.best)
                message += "; the run cannot go on, but its best weights are whole"
            raise RunError(message) from error
        return arrays, state

    def _load(self, path: Path) -> Checkpoint:
        """Return the arrays and the state of a checkpoint.

        Its weights are compared with the architecture, as far as that is possible without MXNet.

        Raises:
            RunError: it is missing or damaged, does not fit, or belongs to another run.
        """
        arrays, state = self.directory.load(path)
        averages = select(arrays, "average/")
        try:
            weights = weights_in(arrays)
            self._check_parameters(weights)
            if averages and layout(averages) != layout(weights):
                raise ValueError("its averaged weights have other names, shapes or types than its weights")
        except ValueError as error:
            raise RunError(f"{path} does not fit {self.directory.config.name}: {error}") from error
        return arrays, state

    def _check_parameters(self, weights: Mapping[str, Matrix]) -> None:
        """Raise :class:`ValueError` if weights do not fit the architecture, as far as that is known without MXNet."""

    def _build_network(self) -> RecurrentNetwork:
        """Return the network of the architecture; its parameters have no values yet."""
        raise NotImplementedError

    def _new_network(self) -> Any:
        """Return a network of the caller's own with the weights of the run, on the CPU."""
        from seqlm_core.engine.mxnet import mx
        from seqlm_core.model.build import load_weights

        network = self._build_network()
        load_weights(network, self.weights, mx.cpu())
        return network

    def change_settings(self, settings: SettingsT) -> None:
        """Write changed settings into the run's configuration.

        All other settings stay as they are recorded, without defaults being filled in, since checkpoints hold a digest
        of some of them.
        """
        before, after = dataclasses.asdict(self.settings), dataclasses.asdict(settings)
        changed = {name: value for name, value in after.items() if value != before[name]}
        self.config["settings"] = {**self.config["settings"], **changed}
        self.directory.write_config(self.config)
        self.settings = settings

    def history(self) -> list[dict[str, Any]]:
        """Return the figures of the training, the oldest first; see :mod:`seqlm_core.runs.history`.

        Raises:
            RunError: they are missing or damaged.
        """
        return [record for record in self.records() if record["kind"] != SAMPLE]

    def records(self) -> list[dict[str, Any]]:
        """Return the figures of the training and the texts that were sampled during it, the oldest first.

        Raises:
            RunError: they are missing or damaged.
        """
        return records_of(self.directory)
