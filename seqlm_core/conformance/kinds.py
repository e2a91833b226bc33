"""The checks for each kind of plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqlm_core.conformance.check import Check, Outcome, run_checks
from seqlm_core.errors import UsageError
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.specs import PLUGIN_KINDS


def checks_of(kind: str) -> list[Check]:
    """Return the checks of a kind of plugin, in the order in which they are run."""
    if kind == "cell":
        from seqlm_core.conformance.cells import checks
    elif kind == "tokenizer":
        from seqlm_core.conformance.tokenizers import checks
    else:
        from seqlm_core.conformance.optimizers import checks
    return checks.all


def parse_plugin(text: str) -> tuple[str, str]:
    """Return the kind and the name in ``KIND:NAME``.

    Raises:
        UsageError: the text has another form, or there is no such kind.
    """
    kind, colon, name = text.partition(":")
    if kind not in PLUGIN_KINDS or not colon or not name:
        raise UsageError(f"{text!r} is not KIND:NAME, such as cell:lstm; kinds are {', '.join(PLUGIN_KINDS)}")
    return kind, name


def check_plugin(kind: str, name: str, options: Mapping[str, Any] | None = None) -> Iterator[Outcome]:
    """Yield the outcome of each check of a registered plugin.

    Args:
        kind: ``cell``, ``tokenizer`` or ``optimizer``.
        name: the name of the plugin.
        options: options of the plugin. Those that are not given have their defaults.

    Raises:
        UsageError: there is no such plugin, or it does not have these options.
    """
    registry = next(registry for registry in installed_plugins().registries if registry.kind == kind)
    return run_checks(checks_of(kind), Component.choose(registry, name, options or {}))
