"""The three hooks by which a plugin adds cells, tokenizers and optimizers."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from seqlm_core.plugins.specs import CellSpec, OptimizerSpec, TokenizerSpec

hookspec = pluggy.HookspecMarker("seqlm")
hookimpl = pluggy.HookimplMarker("seqlm")


@hookspec
def seqlm_cells() -> CellSpec | Iterable[CellSpec]:  # type: ignore[empty-body]
    """Return the recurrent cell that the plugin adds, or several of them."""


@hookspec
def seqlm_tokenizers() -> TokenizerSpec | Iterable[TokenizerSpec]:  # type: ignore[empty-body]
    """Return the tokenizer that the plugin adds, or several of them."""


@hookspec
def seqlm_optimizers() -> OptimizerSpec | Iterable[OptimizerSpec]:  # type: ignore[empty-body]
    """Return the optimizer that the plugin adds, or several of them."""
