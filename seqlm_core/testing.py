"""A pytest plugin for packages that add cells, tokenizers or optimizers; it comes with seqlm.

A test of two lines::

    def test_my_cell(seqlm_conformance):
        seqlm_conformance("cell:my-cell")
"""

from __future__ import annotations

from typing import Any, Callable

import pytest


@pytest.fixture
def seqlm_conformance() -> Callable[..., None]:
    """A function that fails the test unless a plugin passes all checks. The failure has a line for each check.

    Call it as ``seqlm_conformance("KIND:NAME", option=value, ...)``. The plugin is installed, or the running program
    has registered it.
    """
    from seqlm_core.conformance.kinds import check_plugin, parse_plugin

    def conforms(plugin: str, **options: Any) -> None:
        kind, name = parse_plugin(plugin)
        outcomes = list(check_plugin(kind, name, options))
        if not all(outcome.passed for outcome in outcomes):
            pytest.fail("\n".join([f"{plugin} does not conform:", *map(str, outcomes)]), pytrace=False)

    return conforms
