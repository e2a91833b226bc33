"""Finding and loading plugins, each by itself, so that a broken plugin does not affect the others."""

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
"""The logger of warnings about broken plugins. ``seqlm plugins``, which lists them, and quiet commands silence it."""

ENTRY_POINT_GROUP = "seqlm"
BUILT_IN_DISTRIBUTION = "seqlm"
SELECTION_VARIABLE = "SEQLM_PLUGINS"


SLOW_SECONDS = 1.0
"""A plugin that takes longer than this to load gets a remark, since every command that uses plugins waits for it."""


class Remark(NamedTuple):
    """Something that is wrong with a plugin, though it can be used."""

    name: str
    source: Source
    text: str


class Plugins:
    """The registries of cells, tokenizers and optimizers, and the plugins that cannot be used.

    Attributes:
        failed: plugins that could not be loaded.
        remarks: remarks on plugins that can be used, but load slowly or print something.
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
        """The plugins that failed to load, and the single names that belong to other plugins or are in conflict."""
        refused = [refusal for registry in self.registries for refusal in registry.refused()]
        return self.failed + [BrokenPlugin(entry.spec.name, entry.source, cause) for entry, cause in refused]

    def source_of(self, kind: str, name: str) -> Source | None:
        """Return where the plugin of this kind and name came from; None if there is none."""
        entries = [entry for registry in self.registries if registry.kind == kind for entry in registry]
        return next((entry.source for entry in entries if entry.spec.name == name), None)

    def register(self, plugin: object, source: Source = THIS_PROGRAM) -> None:
        """Register what ``plugin`` provides. It is a module or an object with hook implementations.

        Raises:
            PluginError: it cannot be used; then nothing of it is registered.
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
        """Load entry points. Those that fail are added to :attr:`broken`; one warning names all broken plugins."""
        for entry_point, source in entry_points:
            printed = io.StringIO()  # standard output is for the command's result
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
        """Record that a plugin could not be loaded."""
        cause = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        self.failed.append(BrokenPlugin(name, source, " ".join(cause.split())))


def collect_specs(plugin: object, registries: Iterable[Registry[Any]]) -> list[tuple[Registry[Any], Any]]:
    """Return the records that the hooks of one plugin return, each with its registry.

    Each plugin gets a plugin manager of its own, so that an error of one plugin cannot be blamed on another.

    Raises:
        PluginError: the plugin has an unknown hook or none at all, or a hook returns something that cannot be used.
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
    """Raise :class:`PluginError` if a hook is not marked as one, or if a marked function is not a hook of seqlm."""
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
    """Return the result of a hook as a list of valid records of the registry's kind."""
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
    """Return the entry points of the group ``seqlm`` that ``SEQLM_PLUGINS`` selects, those of seqlm itself first.

    If the metadata of a distribution cannot be read, or if it requires another version of seqlm, its plugins are marked
    as failed in ``plugins``.
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
            # Errors of other packages do not matter, unless they have plugins for seqlm.
            if ENTRY_POINT_GROUP in _entry_point_text(distribution):
                plugins.mark_failed("(its entry points)", source, error)
    for name in sorted((wanted or set()) - seen):
        logger.warning("%s names %r, which is not installed", SELECTION_VARIABLE, name)
    return sorted(found, key=lambda item: not item[1].built_in)


def unmet_requirement(distribution: importlib.metadata.Distribution) -> str | None:
    """Return the problem if a distribution requires another version of seqlm than this one; otherwise None."""
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
    """Return the plugins of this environment. They are loaded at the first call."""
    plugins = Plugins()
    plugins.load(find_entry_points(plugins))
    if not len(plugins.cells):
        logger.warning("the built-in plugins are not found: install the package with 'pip install .'")
    return plugins
