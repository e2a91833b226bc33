"""The cell, tokenizer and optimizer of a training: from the registries, with their options."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from seqlm_core.errors import PluginError, RunError, UnknownNameError
from seqlm_core.options import make_options, option_values
from seqlm_core.plugins import Plugins
from seqlm_core.registry import Registry, Source
from seqlm_core.settings import Settings
from seqlm_core.specs import CellSpec, OptimizerSpec, Tokenizer, TokenizerSpec

logger = logging.getLogger("seqlm")


@dataclasses.dataclass(frozen=True)
class Components:
    """What plugins contribute to one training or run."""

    cell: CellSpec
    cell_options: Any
    tokenizer: TokenizerSpec
    tokenizer_options: Any
    optimizer: OptimizerSpec
    optimizer_options: Any
    sources: dict[str, Source]

    @classmethod
    def choose(cls, settings: Settings, plugins: Plugins) -> Components:
        """Look up what the settings name.

        Raises:
            UsageError: a name or an option is not known, or an option's value does not fit.
        """
        cell = plugins.cells.entry(settings.cell)
        tokenizer = plugins.tokenizers.entry(settings.tokenizer)
        optimizer = plugins.optimizers.entry(settings.optimizer)
        return cls(
            cell.spec,
            make_options(cell.spec, settings.cell_options),
            tokenizer.spec,
            make_options(tokenizer.spec, settings.tokenizer_options),
            optimizer.spec,
            make_options(optimizer.spec, settings.optimizer_options),
            {"cell": cell.source, "tokenizer": tokenizer.source, "optimizer": optimizer.source},
        )

    def build_tokenizer(self) -> Tokenizer:
        """Return the tokenizer."""
        tokenizer: Tokenizer = self.tokenizer.build(self.tokenizer_options)
        return tokenizer

    def build_optimizer(self, learning_rate: float) -> Any:
        """Return the optimizer at a learning rate.

        Raises:
            PluginError: the plugin builds none.
        """
        from seqlm_core.mxnet import mx

        name = self.optimizer.name
        try:
            optimizer = self.optimizer.build(learning_rate, self.optimizer_options)
        except Exception as error:
            raise PluginError(f"optimizer {name!r} cannot be built: {type(error).__name__}: {error}") from error
        if not isinstance(optimizer, mx.optimizer.Optimizer):
            raise PluginError(f"optimizer {name!r} built a {type(optimizer).__name__}, not an mxnet Optimizer")
        return optimizer

    def resolve(self, settings: Settings) -> Settings:
        """Return the settings with the defaults that plugins suggest, and with every option's value."""
        return settings.replace(
            learning_rate=settings.learning_rate or self.optimizer.default_learning_rate,
            min_count=settings.min_count or self.tokenizer.default_min_count,
            cell_options=option_values(self.cell_options),
            tokenizer_options=option_values(self.tokenizer_options),
            optimizer_options=option_values(self.optimizer_options),
        )

    def to_json(self) -> dict[str, Any]:
        """Return name, distribution and version of each, for the run's configuration."""
        return {
            kind: {
                "name": getattr(self, kind).name,
                "distribution": source.distribution,
                "version": source.version,
            }
            for kind, source in self.sources.items()
        }


def check_plugins_of_run(recorded: Mapping[str, Any], plugins: Plugins, kinds: Iterable[str]) -> None:
    """Compare the plugins that a run was made with to those that are here; another version is a warning.

    Args:
        recorded: of the run.
        plugins: that are here.
        kinds: which to look at.

    Raises:
        RunError: one is not here any more.
    """
    registries: dict[str, Registry[Any]] = {registry.kind: registry for registry in plugins.registries}
    for kind in kinds:
        made_with = recorded[kind]
        brought_by = f"{made_with['distribution']} {made_with['version']}".strip()
        try:
            source = registries[kind].entry(made_with["name"]).source
        except UnknownNameError as error:
            raise RunError(
                f"the run uses {kind} {made_with['name']!r} of {brought_by}, which is not to be had here: {error}; "
                "install it, or name it in SEQLM_PLUGINS if that is set"
            ) from error
        if (source.distribution, source.version) != (made_with["distribution"], made_with["version"]):
            logger.warning(
                "the run's %s %r was made with %s; here it comes from %s",
                kind,
                made_with["name"],
                brought_by,
                source,
            )
