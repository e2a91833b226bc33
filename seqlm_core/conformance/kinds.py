"""Which checks there are for each kind of plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqlm_core.conformance.check import Check, Outcome, run_checks
from seqlm_core.errors import UsageError
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.loading import installed_plugins

KINDS = ("cell", "tokenizer", "optimizer")


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
    """Return kind and name of ``KIND:NAME``.

    Raises:
        UsageError: it is not written so.
    """
    kind, colon, name = text.partition(":")
    if kind not in KINDS or not colon or not name:
        raise UsageError(f"{text!r} is no KIND:NAME such as cell:lstm; kinds are {', '.join(KINDS)}")
    return kind, name


def check_plugin(kind: str, name: str, options: Mapping[str, Any] | None = None) -> Iterator[Outcome]:
    """Yield what comes of each check of a registered plugin.

    Args:
        kind: ``cell``, ``tokenizer`` or ``optimizer``.
        name: of the plugin.
        options: of the plugin; its defaults without them.

    Raises:
        UsageError: there is no such plugin, or it does not have these options.
    """
    registry = next(registry for registry in installed_plugins().registries if registry.kind == kind)
    return run_checks(checks_of(kind), Component.choose(registry, name, options or {}))
