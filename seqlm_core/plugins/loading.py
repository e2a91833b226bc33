"""Finding and loading plugins, one by one, so that a broken one harms nobody else."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib.metadata
import inspect
import io
import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pluggy
from packaging.requirements import Requirement

from seqlm_core.errors import PluginError
from seqlm_core.plugins import hookspecs
from seqlm_core.plugins.registry import THIS_PROGRAM, BrokenPlugin, Registry, Source
from seqlm_core.plugins.specs import CellSpec, OptimizerSpec, TokenizerSpec
from seqlm_core.version import __version__

logger = logging.getLogger("seqlm")
broken_logger = logging.getLogger("seqlm.broken_plugins")
"""Warns of broken plugins; ``seqlm plugins``, which lists them, and quiet commands silence it."""

ENTRY_POINT_GROUP = "seqlm"
BUILT_IN_DISTRIBUTION = "seqlm"
SELECTION_VARIABLE = "SEQLM_PLUGINS"


SLOW_SECONDS = 1.0
"""Every command that uses plugins waits for them, so one that takes longer than this to load is told of."""


class Remark(NamedTuple):
    """What is not right with a plugin that works all the same."""

    name: str
    source: Source
    text: str


class Plugins:
    """The registries of cells, tokenizers and optimizers, and the plugins that could not be used.

    Attributes:
        failed: plugins that could not be loaded.
        remarks: on plugins that could be used, but are slow to load or print.
    """

    def __init__(self) -> None:
        self.failed: list[BrokenPlugin] = []
        self.cells = Registry(CellSpec, self.failed)
        self.tokenizers = Registry(TokenizerSpec, self.failed)
        self.optimizers = Registry(OptimizerSpec, self.failed)
        self.remarks: list[Remark] = []

    @property
    def registries(self) -> tuple[Registry[Any], ...]:
        """The three registries, in the order in which they are listed."""
        return (self.cells, self.tokenizers, self.optimizers)

    @property
    def broken(self) -> list[BrokenPlugin]:
        """The plugins that failed, and the single names that are taken or contested."""
        refused = [refusal for registry in self.registries for refusal in registry.refused()]
        return self.failed + [BrokenPlugin(entry.spec.name, entry.source, cause) for entry, cause in refused]

    def source_of(self, kind: str, name: str) -> Source | None:
        """Return what brought the plugin of this kind and name; None where none is registered."""
        entries = [entry for registry in self.registries if registry.kind == kind for entry in registry]
        return next((entry.source for entry in entries if entry.spec.name == name), None)

    def register(self, plugin: object, source: Source = THIS_PROGRAM) -> None:
        """Add what ``plugin``, a module or an object with hook implementations, has to offer.

        Raises:
            PluginError: it cannot be used; nothing of it is registered then.
        """
        offered = collect_specs(plugin, self.registries)
        names = [(registry.kind, spec.name) for registry, spec in offered]
        for registry, spec in offered:
            if names.count((registry.kind, spec.name)) > 1:
                raise PluginError(f"offers {registry.kind} {spec.name!r} twice")
            registry.check(spec, source)
        for registry, spec in offered:
            registry.add(spec, source)

    def load(self, entry_points: Iterable[tuple[importlib.metadata.EntryPoint, Source]]) -> None:
        """Load entry points; what is wrong with one is an item of :attr:`broken`, of which one warning tells."""
        for entry_point, source in entry_points:
            printed = io.StringIO()  # standard output belongs to the command's result
            started = time.perf_counter()
            try:
                with contextlib.redirect_stdout(printed):
                    self.register(entry_point.load(), source)
            except (Exception, SystemExit) as error:
                self.mark_failed(entry_point.name, source, error)
            seconds = time.perf_counter() - started
            if seconds > SLOW_SECONDS:
                self.remarks.append(Remark(entry_point.name, source, f"takes {seconds:.1f} s to load"))
            if printed.getvalue():
                sys.stderr.write(printed.getvalue())
                first_line = printed.getvalue().strip().partition("\n")[0]
                self.remarks.append(Remark(entry_point.name, source, f"prints when it is loaded: {first_line}"))
        self._warn_of_broken()

    def _warn_of_broken(self) -> None:
        broken = self.broken
        if broken:
            one = len(broken) == 1
            broken_logger.warning(
                "%d plugin%s broken and skipped: %s; 'seqlm plugins' tells why",
                len(broken),
                " is" if one else "s are",
                ", ".join(f"{plugin.name} of {plugin.source}" for plugin in broken),
            )

    def mark_failed(self, name: str, source: Source, error: BaseException) -> None:
        """Remember that a plugin could not be loaded."""
        cause = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        self.failed.append(BrokenPlugin(name, source, " ".join(cause.split())))


def collect_specs(plugin: object, registries: Iterable[Registry[Any]]) -> list[tuple[Registry[Any], Any]]:
    """Return the records that the hooks of one plugin return, each with the registry that it is for.

    Each plugin gets a manager of its own, so that the fault of one cannot be taken for that of another.

    Raises:
        PluginError: a hook is not one of ours, or returns something that cannot be used, or there is none.
    """
    _check_hook_names(plugin, [f"seqlm_{registry.kind}s" for registry in registries])
    manager = pluggy.PluginManager("seqlm")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(str(error)) from error
    specs = []
    for registry in registries:
        for result in getattr(manager.hook, f"seqlm_{registry.kind}s")():
            specs += [(registry, spec) for spec in _as_specs(result, registry)]
    if not specs:
        raise PluginError("registers no cell, tokenizer or optimizer")
    return specs


def _check_hook_names(plugin: object, hooks: Sequence[str]) -> None:
    """Raise :class:`PluginError` for a hook that is not marked, or a marked one that there is not."""
    for name in dir(plugin):
        function = getattr(plugin, name, None) if name.startswith("seqlm_") else None
        if not inspect.isroutine(function):
            continue
        marked = hasattr(function, "seqlm_impl")
        if name in hooks and not marked:
            raise PluginError(f"its function {name} is not marked as a hook: put @seqlm_core.hookimpl above it")
        if name not in hooks and (marked or difflib.get_close_matches(name, hooks, cutoff=0.9)):
            nearest = difflib.get_close_matches(name, hooks, n=1)
            hint = f" (did you mean {nearest[0]}?)" if nearest else ""
            raise PluginError(f"there is no hook {name}{hint}; the hooks are {', '.join(hooks)}")


def _as_specs(result: Any, registry: Registry[Any]) -> list[Any]:
    """Return what a hook returned as a list of valid records of the registry's kind."""
    wanted = registry.spec_class
    if isinstance(result, Mapping):
        raise PluginError(
            f"hook seqlm_{registry.kind}s must return {wanted.__name__} or several of them, not a dict; "
            "return a list of its values"
        )
    specs = list(result) if isinstance(result, Iterable) and not isinstance(result, str) else [result]
    for spec in specs:
        if not isinstance(spec, wanted):
            raise PluginError(
                f"hook seqlm_{registry.kind}s must return {wanted.__name__} or several of them, "
                f"not {type(spec).__name__}"
            )
        spec.validate()
    return specs


def find_entry_points(plugins: Plugins) -> list[tuple[importlib.metadata.EntryPoint, Source]]:
    """Return the entry points of the group ``seqlm``, built-ins first, as ``SEQLM_PLUGINS`` selects them.

    A distribution whose metadata cannot be read, or that requires another version of seqlm, is marked as failed in
    ``plugins``.
    """
    selection = os.environ.get(SELECTION_VARIABLE)
    wanted = None if selection is None else {_normalize(n) for n in selection.split(",") if n.strip()}
    found = []
    seen = set()
    for distribution in importlib.metadata.distributions():
        source = Source(str(getattr(distribution, "_path", "a distribution")), "")
        try:
            name = distribution.metadata["Name"]
            if name is None or _normalize(name) in seen:
                continue
            seen.add(_normalize(name))
            built_in = _normalize(name) == BUILT_IN_DISTRIBUTION
            source = Source(name, distribution.metadata["Version"] or "", built_in)
            if built_in or wanted is None or _normalize(name) in wanted:
                points = [point for point in distribution.entry_points if point.group == ENTRY_POINT_GROUP]
                unmet = unmet_requirement(distribution) if points else None
                for point in points:
                    if unmet is None:
                        found.append((point, source))
                    else:
                        plugins.mark_failed(point.name, source, PluginError(unmet))
        except Exception as error:
            # Other packages' faults are none of ours unless they name our group.
            if ENTRY_POINT_GROUP in _entry_point_text(distribution):
                plugins.mark_failed("(its entry points)", source, error)
    for name in sorted((wanted or set()) - seen):
        logger.warning("%s names %r, which is not installed", SELECTION_VARIABLE, name)
    return sorted(found, key=lambda item: not item[1].built_in)


def unmet_requirement(distribution: importlib.metadata.Distribution) -> str | None:
    """Return what is wrong if a distribution requires another version of seqlm than this one, else None."""
    for text in distribution.requires or []:
        requirement = Requirement(text)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        is_of_seqlm = applies and _normalize(requirement.name) == BUILT_IN_DISTRIBUTION
        if is_of_seqlm and not requirement.specifier.contains(__version__, prereleases=True):
            return f"requires seqlm {requirement.specifier}, and this is {__version__}"
    return None


def _entry_point_text(distribution: importlib.metadata.Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except Exception:
        return ""


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@functools.cache
def installed_plugins() -> Plugins:
    """Return the plugins of this environment, loaded at the first call."""
    plugins = Plugins()
    plugins.load(find_entry_points(plugins))
    if not len(plugins.cells):
        logger.warning("the built-in plugins are not found: install the package with 'pip install .'")
    return plugins
