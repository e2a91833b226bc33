"""The cell, tokenizer and optimizer of a training, with their options."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Generic

from seqlm_core.errors import PluginError, PluginNotLoadedError, RunError, UnknownNameError
from seqlm_core.plugins.files import load_plugin
from seqlm_core.plugins.foreign import plugin_code
from seqlm_core.plugins.guarded_tokenizer import guarded_tokenizer, origin_of
from seqlm_core.plugins.loading import Plugins, installed_plugins
from seqlm_core.plugins.options import make_options, option_values
from seqlm_core.plugins.registry import Registry, Source, SpecT
from seqlm_core.plugins.specs import CellSpec, OptimizerSpec, Tokenizer, TokenizerSpec, TrainableTokenizer
from seqlm_core.plugins.tokenizer_origin import TokenizerOrigin
from seqlm_core.settings.training_settings import SettingsT, TrainingSettings

logger = logging.getLogger("seqlm")


@dataclasses.dataclass(frozen=True)
class Component(Generic[SpecT]):
    """What one plugin contributes to a training.

    Attributes:
        spec: the record that the plugin provides.
        options: the options of the plugin, as the user set them.
        source: where the plugin came from.
    """

    spec: SpecT
    options: Any
    source: Source

    @classmethod
    def choose(
        cls, registry: Registry[SpecT], name: str, options: Mapping[str, Any], distribution: str | None = None
    ) -> Component[SpecT]:
        """Look up ``name``, preferably that of ``distribution``, and make its options.

        Raises:
            UsageError: there is no such name or option, or the value of an option cannot be used.
        """
        entry = registry.entry(name, distribution)
        return cls(entry.spec, make_options(entry.spec, options), entry.source)


@dataclasses.dataclass(frozen=True)
class Components:
    """What plugins contribute to one training or run.

    Attributes:
        cell: the cell of the recurrent layers.
        optimizer: the optimizer, which updates the weights.
        tokenizer: the tokenizer of a language model; None for a sequence model.
        char_cell: the cell that reads the characters of tokens; None if the model does not read them.
    """

    cell: Component[CellSpec]
    optimizer: Component[OptimizerSpec]
    tokenizer: Component[TokenizerSpec] | None = None
    char_cell: Component[CellSpec] | None = None

    @classmethod
    def choose(
        cls, settings: TrainingSettings, plugins: Plugins, recorded: Mapping[str, Any] | None = None
    ) -> Components:
        """Look up the plugins that the settings name.

        Args:
            settings: the settings of the training.
            plugins: the installed plugins.
            recorded: the plugins of the run that is resumed, or whose weights the training begins with, by role. If
                several distributions offer a name, that of the run is taken.

        Raises:
            UsageError: there is no such name or option, or the value of an option cannot be used.
        """
        chosen = {}
        for role, registry in registries(plugins).items():
            name = getattr(settings, role, None)
            if name is not None:
                made_with = (recorded or {}).get(role, {})
                distribution = made_with.get("distribution") if made_with.get("name") == name else None
                chosen[role] = Component.choose(registry, name, getattr(settings, f"{role}_options"), distribution)
        return cls(**chosen)

    @property
    def roles(self) -> dict[str, Component[Any]]:
        """The components that are not None, by the names of the settings that choose them."""
        there = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {role: component for role, component in there.items() if component is not None}

    @property
    def draw_from_mxnet(self) -> bool:
        """Whether the layers or the optimizer may draw MXNet's random numbers. Those of built-in plugins do not."""
        return any(not part.source.built_in for role, part in self.roles.items() if role != "tokenizer")

    def build_tokenizer(self) -> Tokenizer:
        """Return the tokenizer."""
        if self.tokenizer is None:
            raise TypeError("there is no tokenizer among these components")
        return build_tokenizer(self.tokenizer)

    def build_optimizer(self, learning_rate: float) -> Any:
        """Return the optimizer with a learning rate.

        Raises:
            PluginError: the plugin does not build an optimizer.
        """
        return build_optimizer(self.optimizer, learning_rate)

    def resolve(self, settings: SettingsT) -> SettingsT:
        """Return the settings with the defaults that the plugins suggest, and with the values of all options."""
        suggested: dict[str, Any] = {
            "learning_rate": settings.learning_rate or self.optimizer.spec.default_learning_rate
        }
        if settings.activation_penalty is None:
            suggested["activation_penalty"] = float(self.cell.spec.default_activation_penalty)
        if self.tokenizer is not None:
            suggested["min_count"] = settings.min_count or self.tokenizer.spec.default_min_count
        options = {f"{role}_options": option_values(component.options) for role, component in self.roles.items()}
        return settings.replace(**suggested, **options)

    def to_json(self) -> dict[str, Any]:
        """Return the name, distribution and version of each plugin, for the run's configuration."""
        return {
            role: {
                "name": component.spec.name,
                "distribution": component.source.distribution,
                "version": component.source.version,
            }
            for role, component in self.roles.items()
        }


def build_tokenizer(tokenizer: Component[TokenizerSpec]) -> Tokenizer:
    """Return the tokenizer. Its errors are reported as errors of the plugin.

    Raises:
        PluginRuntimeError: it cannot be built, or a method is missing.
    """
    with plugin_code(tokenizer.spec, "cannot be built"):
        built = tokenizer.spec.build(tokenizer.options)
    spec = tokenizer.spec
    origin = TokenizerOrigin.of(spec.name, option_values(tokenizer.options), tokenizer.source, spec.build, type(built))
    return guarded_tokenizer(built, spec, origin)


def rebuilt_tokenizer(origin: TokenizerOrigin, state: Mapping[str, Any] | None) -> Tokenizer:
    """Return a tokenizer that another process built.

    Args:
        origin: where it came from.
        state: what it has learnt; None if it does not learn.

    Raises:
        PluginError: the plugin is not there any more, or is another one now.
    """
    if origin.source.file is not None:
        load_plugin(origin.source.file)
    registry = installed_plugins().tokenizers
    tokenizer = build_tokenizer(
        Component.choose(registry, origin.name, dict(origin.options), origin.source.distribution)
    )
    if origin_of(tokenizer) != origin:
        raise PluginError(f"tokenizer {origin.name!r} of {origin.source} was changed while it was in use")
    if isinstance(tokenizer, TrainableTokenizer) and state is not None:
        tokenizer.restore(dict(state))
    return tokenizer


def build_optimizer(optimizer: Component[OptimizerSpec], learning_rate: float) -> Any:
    """Return the optimizer with a learning rate.

    Raises:
        PluginError: the plugin does not build an optimizer.
    """
    from seqlm_core.engine.mxnet import mx

    name = optimizer.spec.name
    with plugin_code(optimizer.spec, "cannot be built"):
        built = optimizer.spec.build(learning_rate, optimizer.options)
    if not isinstance(built, mx.optimizer.Optimizer):
        raise PluginError(f"optimizer {name!r} built a {type(built).__name__}, not an mxnet Optimizer")
    return built


def check_plugins_of_run(recorded: Mapping[str, Any], plugins: Plugins, roles: Iterable[str]) -> None:
    """Check that the plugins of a run are installed, and warn if one has another version.

    Args:
        recorded: the plugins of the run, by role.
        plugins: the installed plugins.
        roles: the roles to check. Those that the run does not have are skipped.

    Raises:
        RunError: a plugin is missing or broken.
    """
    for role in roles:
        if role in recorded:
            _check_plugin_of_run(recorded[role], registries(plugins)[role], plugins)


def _check_plugin_of_run(made_with: Mapping[str, Any], registry: Registry[Any], plugins: Plugins) -> None:
    what = f"{registry.kind} {made_with['name']!r}"
    recorded_source = Source(made_with["distribution"], made_with["version"])
    source, reason = None, ""
    try:
        source = registry.entry(made_with["name"], made_with["distribution"]).source
    except UnknownNameError as error:
        reason = str(error)
    if source is None or source.distribution != made_with["distribution"]:
        for broken in plugins.failed:
            if broken.source.distribution == made_with["distribution"]:
                raise RunError(
                    f"the run uses {what} of {recorded_source}, and the plugin {broken.name!r} of {broken.source} is "
                    f"broken: {broken.cause}"
                )
    if source is None and recorded_source.file is not None:
        raise PluginNotLoadedError(
            f"the run was made with {what} of the plugin {recorded_source.file}, which is not loaded",
            recorded_source.file,
        )
    if source is None:
        raise RunError(
            f"the run uses {what} of {recorded_source}, which is not installed here: {reason}; "
            "install it, or name it in SEQLM_PLUGINS if that is set"
        )
    if source.file is not None and recorded_source.file is not None:  # which may have been moved
        if source.version != recorded_source.version:
            logger.warning("the run's %s was made with another version of %s", what, source)
    elif source[:2] != recorded_source[:2]:
        logger.warning("the run's %s was made with %s; here it comes from %s", what, recorded_source, source)


ROLES = ("cell", "tokenizer", "char_cell", "optimizer")
"""The roles of plugins in a training: the names of the settings, and the names in the configuration of a run."""


def registries(plugins: Plugins) -> dict[str, Registry[Any]]:
    """Return the registry of each role."""
    return {
        "cell": plugins.cells,
        "optimizer": plugins.optimizers,
        "tokenizer": plugins.tokenizers,
        "char_cell": plugins.cells,
    }
