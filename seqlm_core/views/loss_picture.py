"""Pictures of the losses of trainings, for a run's directory and for a paper."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlm_core.errors import SettingError, UsageError
from seqlm_core.evaluation.pictures import families_for, file_of, plain, quiet_drawing
from seqlm_core.reading.unknown import percent
from seqlm_core.runs.opening import open_run
from seqlm_core.settings.arguments import PathLike, check_argument, checked_path
from seqlm_core.storage.files import write_atomically
from seqlm_core.views.curves import Curve, best_step, loss_curves, loss_name

AXES = {"step": "step", "epoch": "epoch", "minutes": "training time (minutes)"}
LOSS, BITS, PERPLEXITY = "loss", "bits", "perplexity"
FIGURES = (LOSS, BITS, PERPLEXITY)
FORMATS = ("png", "svg", "pdf")
NATS = "nats_per_"

# The colours of Okabe and Ito (2008), which people who are colour-blind tell apart. They differ in brightness, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#F0E442")
MARKERS = "osD^vP*X"


@dataclasses.dataclass(frozen=True)
class History:
    """A training to draw.

    Attributes:
        name: what the legend calls it; empty if there is no other.
        records: the records of its history.
        loss_name: the name of the loss in them, such as ``nats_per_token``.
    """

    name: str
    records: Sequence[dict[str, Any]]
    loss_name: str


def plot_runs(
    *runs: PathLike,
    out: PathLike,
    x: str = "step",
    figure: str = LOSS,
    smoothing: float = 0.0,
    title: str = "",
) -> None:
    """Draw the training and validation losses of runs, for a paper.

    Args:
        runs: run directories, whose losses must be of one kind.
        out: the picture to write: a PNG, SVG or PDF file, by its ending.
        x: what the horizontal axis shows: ``step``, ``epoch`` or ``minutes``.
        figure: ``loss`` as it was trained, or ``bits`` or ``perplexity``, which are the loss in other units.
        smoothing: decay of the exponential moving average of the training loss, from 0 (none) to below 1. The curve
            without it is drawn faintly behind.
        title: the title; empty for none.

    Raises:
        RunError: a directory holds no run, is damaged, or has no figures yet.
        UsageError: an argument is none of these, or the losses are of different kinds.
    """
    path = checked_path("out", out)
    if path.suffix[1:].lower() not in FORMATS:
        raise SettingError("out", f"must end with .png, .svg or .pdf, not {path.name!r}")
    for name, value, values in (("x", x, tuple(AXES)), ("figure", figure, FIGURES)):
        if value not in values:
            raise SettingError(name, f"must be {', '.join(values[:-1])} or {values[-1]}, not {value!r}")
    check_argument("smoothing", smoothing, float, minimum=0, below=1)
    check_argument("title", title, str)
    if not runs:
        raise UsageError("name at least one run to plot")
    histories = [history_of(run, several=len(runs) > 1) for run in runs]
    names = {history.loss_name for history in histories}
    if len(names) > 1:
        told = " and ".join(sorted(name.replace("_", " ") for name in names))
        raise UsageError(f"the losses of these runs cannot be compared: {told}")
    if figure != LOSS and not histories[0].loss_name.startswith(NATS):
        raise SettingError("figure", f"must be {LOSS}: {figure} is made of a loss in nats, which these runs have not")
    draw_losses(histories, path, title, x=x, figure=figure, smoothing=smoothing)


def history_of(run: PathLike, several: bool) -> History:
    """Return the history of a run; it has a name if there are several.

    Raises:
        RunError: the directory holds no run, is damaged, or has no figures yet.
    """
    opened = open_run(run)
    records = opened.history()
    name = loss_name(records)
    if name is None:
        raise UsageError(opened.without_figures)
    return History(opened.path.resolve().name if several else "", records, name)


def draw_losses(
    histories: Sequence[History],
    path: Path,
    title: str,
    *,
    x: str = "step",
    figure: str = LOSS,
    smoothing: float = 0.0,
) -> None:
    """Draw losses over a training; the arguments are those of :func:`plot_runs`.

    Args:
        histories: the trainings; the names of their losses must be the same.
        path: the file to write; its ending says what kind of picture it is.
        title: the title of the picture; empty for none.
        x: what the horizontal axis shows.
        figure: the unit of the losses.
        smoothing: decay of the moving average of the training loss.
    """
    with quiet_drawing():
        picture = _drawn(histories, path.suffix[1:].lower(), title, x, figure, smoothing)
    write_atomically(path, picture)


def _drawn(histories: Sequence[History], kind: str, title: str, x: str, figure: str, smoothing: float) -> bytes:
    # Imported here since it takes a second, and most commands draw nothing. Unlike pyplot, Figure opens no window.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text of a vector picture stays text, in a font that the reader has; and the same run gives the same file.
    with rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "seqlm"}):
        drawn = Figure(figsize=(8, 5), layout="constrained")
        axes = drawn.add_subplot()
        labels = "".join(
            _draw(axes, history, number, histories, x, figure, smoothing) for number, history in enumerate(histories)
        )
        unit = _unit(histories[0].loss_name, figure)
        axes.set(xlabel=AXES[x], ylabel=unit)
        if title:
            axes.set_title(plain(title), family=families_for(title))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(prop={"family": families_for(labels)})
        return file_of(drawn, kind)


def _draw(
    axes: Any, history: History, number: int, histories: Sequence[History], x: str, figure: str, smoothing: float
) -> str:
    """Draw the curves of a training, and return the texts of their labels."""
    alone = len(histories) == 1
    unknown = max((record.get("validation_unknown_share", 0.0) for record in history.records), default=0.0)
    note = f", {percent(unknown)} of its tokens unknown" if unknown else ""
    told = ""
    for place, curve in enumerate(loss_curves(history.records, history.loss_name)):
        is_training = curve.name == "training"
        colour = COLOURS[(place if alone else number) % len(COLOURS)]
        style = {"color": colour, "linewidth": 1.5}
        if is_training:
            style["linestyle"] = "-" if alone else "--"
        else:
            style.update(marker=MARKERS[(place if alone else number) % len(MARKERS)], markersize=3)
        if not is_training and not alone and place == 2:
            style["linestyle"] = ":"
        name = curve.name + ("" if is_training else note)
        if is_training and smoothing:
            axes.plot(*_points(curve, x, figure), color=colour, linewidth=0.8, alpha=0.35)
            curve, name = curve.smoothed(smoothing), f"{name}, smoothed ({smoothing:g})"
        if len(curve.values) == 1:
            style["marker"] = "o"  # a line with a single point would be invisible
        points = _points(curve, x, figure)
        label = f"{history.name + ': ' if history.name else ''}{name}, last {points[1][-1]:.3f}"
        axes.plot(*points, label=plain(label), **style)
        told += label
    best = best_step(history.records)
    if best is not None and alone:
        at = next(_x_of(record, x) for record in reversed(history.records) if record.get("best"))
        axes.axvline(at, color="grey", linestyle=":", linewidth=1, label="best epoch")
    return told


def _points(curve: Curve, x: str, figure: str) -> tuple[Sequence[float], list[float]]:
    axes: dict[str, Sequence[float]] = {
        "step": curve.steps,
        "epoch": curve.epochs,
        "minutes": [seconds / 60 for seconds in curve.seconds],
    }
    return axes[x], [_in_unit(value, figure) for value in curve.values]


def _x_of(record: dict[str, Any], x: str) -> float:
    value: float = record["seconds"] / 60 if x == "minutes" else record[x]
    return value


def _in_unit(nats: float, figure: str) -> float:
    if figure == BITS:
        return nats / math.log(2)
    return math.exp(min(nats, 700)) if figure == PERPLEXITY else nats


def _unit(name: str, figure: str) -> str:
    if figure == PERPLEXITY:
        return f"perplexity per {name[len(NATS) :]}" if not name.endswith("token") else "perplexity"
    shown = name.replace("nats", "bits") if figure == BITS else name
    return f"loss ({shown.replace('_', ' ')})"
