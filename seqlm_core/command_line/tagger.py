"""Opens a run whose model labels tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlm_core.errors import UsageError


def open_tagger(run: str) -> Any:
    """Return the run; raise :class:`UsageError` if it does not label tokens."""
    import seqlm_core as seqlm

    tagger = seqlm.SequenceRun(Path(run))
    kinds = tagger.architecture.inputs, tagger.architecture.outputs
    if kinds != ("tokens", "labels"):
        raise UsageError(f"{run} maps {kinds[0]} to {kinds[1]}, and a run that maps tokens to labels is needed")
    return tagger
