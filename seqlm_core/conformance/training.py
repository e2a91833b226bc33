"""Small trainings with a plugin, for the checks of all kinds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqlm_core.conformance.check import demand
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.options import option_values
from seqlm_core.storage.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from seqlm_core.runs.language_run import LanguageRun

SUBJECTS = ("The cat", "A dog", "My sister", "The old man", "It")
VERBS = ("sat", "didn't sit", "slept", "sang")
PLACES = ("on the mat", "by the log", "at home")
TEXT = "".join(f"{SUBJECTS[n % 5]} {VERBS[n % 4]} {PLACES[n % 3]}, and was glad.\n" for n in range(90))
"""A short text in which no line equals the one before, so that tokenizers that learn long tokens still cut it."""
SMALL = {
    "hidden_size": 16, "sequence_length": 20, "batch_size": 8, "dropout": 0.1, "warmup": 2, "schedule": "constant",
    "validation_fraction": 0.0, "log_every": 0, "min_count": 1, "device": "cpu",
    "weight_decay": 0.0,
}  # fmt: skip


def train_small(folder: Path, kind: str, component: Component[Any], **settings: Any) -> LanguageRun:
    """Train a small model with a plugin on a small text, in a directory of ``folder``."""
    import seqlm_core as seqlm

    text = folder / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    plugin = {kind: component.spec.name, f"{kind}_options": option_values(component.options)}
    out = folder / f"run-{len(list(folder.iterdir()))}"
    return seqlm.train(text, out=out, quiet=True, **{**SMALL, **plugin, **settings})


def check_learning(kind: str, component: Component[Any]) -> str:
    """Demand that the loss falls, and well below that of a model that knows only how often each token occurs."""
    with tempfile.TemporaryDirectory() as folder:
        run = train_small(Path(folder), kind, component, epochs=8)
        losses = [r["training_nats_per_token"] for r in run.history() if r["kind"] == "epoch"]
        frequencies = run.vocabulary.frequencies()
    by_frequency = -float((frequencies * np.log(np.maximum(frequencies, 1e-300))).sum())
    demand(
        losses[-1] < min(losses[0], 0.9 * by_frequency),
        f"the loss goes from {losses[0]:.3f} to {losses[-1]:.3f} nats per token within {len(losses)} epochs; the "
        f"frequencies of the tokens alone give {by_frequency:.3f}",
    )
    return f"from {losses[0]:.2f} to {losses[-1]:.2f} nats per token in {len(losses)} epochs"


def check_resuming(kind: str, component: Component[Any]) -> str:
    """Demand that a resumed training equals an uninterrupted one, bit for bit."""
    import seqlm_core as seqlm

    with tempfile.TemporaryDirectory() as folder:
        whole = train_small(Path(folder), kind, component, epochs=2)
        part = train_small(Path(folder), kind, component, epochs=1)
        seqlm.resume(part.path, quiet=True, epochs=2)
        expected, found = (load_checkpoint(run.directory.last)[0] for run in (whole, part))
    demand(expected.keys() == found.keys(), "the checkpoint of the resumed run has other arrays")
    for name, array in expected.items():
        difference = float(np.abs(array.astype(np.float64) - found[name]).max(initial=0.0))
        demand(difference == 0, f"{name} differs by {difference:.2g} after another epoch")
    return ""
