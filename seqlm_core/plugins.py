"""Finding and loading plugins, one by one, so that a broken one harms nobody else."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import os
import re
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import pluggy

from seqlm_core import hookspecs
from seqlm_core.errors import PluginError
from seqlm_core.registry import THIS_PROGRAM, Registry, Source
from seqlm_core.specs import CellSpec, OptimizerSpec, TokenizerSpec

logger = logging.getLogger("seqlm")

ENTRY_POINT_GROUP = "seqlm"
BUILT_IN_DISTRIBUTION = "seqlm"
SELECTION_VARIABLE = "SEQLM_PLUGINS"


class BrokenPlugin(NamedTuple):
    """A plugin, or one name of a plugin, that cannot be used, and why."""

    name: str
    source: Source
    cause: str


class Plugins:
    """The registries of cells, tokenizers and optimizers, and the plugins that could not be used."""

    def __init__(self) -> None:
        self.cells = Registry(CellSpec)
        self.tokenizers = Registry(TokenizerSpec)
        self.optimizers = Registry(OptimizerSpec)
        self._failed: list[BrokenPlugin] = []
        self._manager = pluggy.PluginManager("seqlm")
        self._manager.add_hookspecs(hookspecs)

    @property
    def registries(self) -> tuple[Registry[Any], ...]:
        """The three registries, in the order in which they are listed."""
        return (self.cells, self.tokenizers, self.optimizers)

    @property
    def broken(self) -> list[BrokenPlugin]:
        """The plugins that failed, and the single names that are taken or contested."""
        refused = [refusal for registry in self.registries for refusal in registry.refused()]
        return self._failed + [BrokenPlugin(entry.spec.name, entry.source, cause) for entry, cause in refused]

    def register(self, plugin: object, name: str | None = None, source: Source = THIS_PROGRAM) -> None:
        """Add what ``plugin``, a module or an object with hook implementations, has to offer.

        Raises:
            PluginError: it cannot be used; nothing of it is registered then.
        """
        named = name or str(getattr(plugin, "__name__", type(plugin).__name__))
        for registry, spec in self._collect(plugin, named):
            registry.add(spec, source)

    def load(self, entry_points: Iterable[tuple[importlib.metadata.EntryPoint, Source]]) -> None:
        """Load entry points; whatever is wrong with one is a warning and an item of :attr:`broken`."""
        for entry_point, source in entry_points:
            try:
                # Standard output belongs to the command's result.
                with contextlib.redirect_stdout(sys.stderr):
                    self.register(entry_point.load(), f"{source.distribution}:{entry_point.name}", source)
            except (Exception, SystemExit) as error:
                cause = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
                self._failed.append(BrokenPlugin(entry_point.name, source, cause))
        for broken in self.broken:
            logger.warning("plugin %r of %s is skipped: %s", broken.name, broken.source, broken.cause)

    def _collect(self, plugin: object, name: str) -> list[tuple[Registry[Any], Any]]:
        """Return the valid records of one plugin; raise at the first fault and forget the plugin."""
        others = self._manager.get_plugins()
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
            specs = []
            for registry in self.registries:
                hook = self._manager.subset_hook_caller(f"seqlm_{registry.kind}s", remove_plugins=others)
                specs += [(registry, spec) for result in hook() for spec in _as_specs(result, registry)]
        except BaseException as error:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            if isinstance(error, (pluggy.PluginValidationError, ValueError)):
                raise PluginError(" ".join(str(error).split())) from error
            raise
        if not specs:
            raise PluginError("registers no cell, tokenizer or optimizer")
        return specs


def _as_specs(result: Any, registry: Registry[Any]) -> list[Any]:
    """Return what a hook returned as a list of valid records of the registry's kind."""
    wanted = registry.spec_class
    specs = list(result) if isinstance(result, (list, tuple)) else [result]
    for spec in specs:
        if not isinstance(spec, wanted):
            raise PluginError(
                f"hook seqlm_{registry.kind}s must return {wanted.__name__} or a list of them, "
                f"not {type(spec).__name__}"
            )
        spec.validate()
    return specs


def find_entry_points() -> list[tuple[importlib.metadata.EntryPoint, Source]]:
    """Return the entry points of the group ``seqlm``, built-ins first, as ``SEQLM_PLUGINS`` selects them."""
    selection = os.environ.get(SELECTION_VARIABLE)
    wanted = None if selection is None else {_normalize(n) for n in selection.split(",") if n.strip()}
    found = []
    seen = set()
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name is None or _normalize(name) in seen:
            continue
        seen.add(_normalize(name))
        built_in = _normalize(name) == BUILT_IN_DISTRIBUTION
        if built_in or wanted is None or _normalize(name) in wanted:
            source = Source(name, distribution.version, built_in)
            found += [(point, source) for point in distribution.entry_points if point.group == ENTRY_POINT_GROUP]
    for name in sorted((wanted or set()) - seen):
        logger.warning("%s names %r, which is not installed", SELECTION_VARIABLE, name)
    return sorted(found, key=lambda item: not item[1].built_in)


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@functools.cache
def installed_plugins() -> Plugins:
    """Return the plugins of this environment, loaded at the first call."""
    plugins = Plugins()
    plugins.load(find_entry_points())
    if not len(plugins.cells):
        logger.warning("the built-in plugins are not found: install the package with 'pip install .'")
    return plugins
