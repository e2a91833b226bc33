"""Pictures of the loss of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlm_core.evaluation.pictures import families_for, plain, png_of, quiet_drawing
from seqlm_core.reading.unknown import percent
from seqlm_core.storage.files import write_atomically


def plot_history(records: Sequence[dict[str, Any]], path: Path, title: str, loss_name: str) -> None:
    """Draw the training and validation loss over the steps, as a PNG file.

    Args:
        records: the records of a history; see :mod:`seqlm_core.runs.history`.
        path: the file to write.
        title: the title of the picture.
        loss_name: the name of the loss in the records, such as ``nats_per_token``.
    """
    with quiet_drawing():
        picture = _drawn(records, title, loss_name)
    write_atomically(path, picture)


def _drawn(records: Sequence[dict[str, Any]], title: str, loss_name: str) -> bytes:
    """Return the picture as a PNG file."""
    both_sides = f"both_sides_{loss_name}"
    has_both_sides = any(both_sides in record for record in records)
    unknown = max((record.get("validation_unknown_share", 0.0) for record in records), default=0.0)
    note = f", {percent(unknown)} of its tokens unknown" if unknown else ""
    curves = {
        # key in the records: (kind of the records, label, colour, line)
        f"training_{loss_name}": ("report", "training", "tab:blue", "-"),
        f"validation_{loss_name}": (
            "epoch", f"validation{' (left to right)' if has_both_sides else ''}{note}", "tab:orange", "o-",
        ),
        both_sides: ("epoch", f"validation (both sides){note}", "tab:green", "s-"),
    }  # fmt: skip
    # Imported here since it takes a second, and most commands draw nothing. Unlike pyplot, Figure opens no window.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for key, (kind, label, colour, line) in curves.items():
        points = [r for r in records if r["kind"] == kind and r.get(key) is not None]
        if not points and kind == "report":  # without reports, the training loss is that of the epochs
            points = [r for r in records if r.get(key) is not None]
        if not points:
            continue
        x, y = [r["step"] for r in points], [r[key] for r in points]
        line = line if len(x) > 1 else "o"  # a line with a single point would be invisible
        axes.plot(x, y, line, color=colour, label=f"{label}, last {y[-1]:.3f}", linewidth=1.5, markersize=3)
    best = [r for r in records if r.get("best")]
    if best:
        axes.axvline(best[-1]["step"], color="grey", linestyle=":", linewidth=1, label="best epoch")
    axes.set(xlabel="step", ylabel=f"loss ({loss_name.replace('_', ' ')})")
    axes.set_title(plain(title), family=families_for(title))
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return png_of(figure)
