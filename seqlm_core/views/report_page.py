"""The page that shows one training, or compares several."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

from seqlm_core.errors import UsageError
from seqlm_core.runs.history import SAMPLE
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.opening import open_run
from seqlm_core.runs.run import Run
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.views.curves import (
    BOTH_SIDES,
    TRAINING,
    VALIDATION,
    Curve,
    learning_rate_curve,
    loss_curves,
    loss_name,
    speed_curve,
)
from seqlm_core.views.loss_picture import NATS
from seqlm_core.views.page import missing, script, write_page

TEMPLATE, SCRIPT = "report.html", "report.js"
MOST_SAMPLES = 100
"""Of more samples of a run, a page shows so many, evenly chosen, the last one included."""
ABSENT = "not set"


def write_report(*runs: PathLike, out: PathLike, commands: Mapping[str, str] | None = None) -> None:
    """Write a page that shows a training, or compares several: curves, figures, settings, samples.

    Args:
        runs: run directories.
        out: the page to write, an HTML file.
        commands: the command that trained each run, by the run's path as it is given; runs without one show none.

    Raises:
        RunError: a directory holds no run, or is damaged.
        UsageError: no run is named, none has figures yet, or a package that makes pages is not installed.
    """
    if not runs:
        raise UsageError("name at least one run to report on")
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise missing("plotly") from error
    opened = [open_run(run) for run in runs]
    names = _names(opened)
    records = [run.records() for run in opened]
    reports = [_report(*each) for each in zip(opened, names, records)]
    if not any(report["curves"] for report in reports):
        raise UsageError("; ".join(run.without_figures for run in opened))
    told = commands or {}
    scripts = [get_plotlyjs().replace("</script", "<\\/script"), script(SCRIPT)]
    write_page(
        checked_path("out", out),
        TEMPLATE,
        f"{'Training' if len(runs) == 1 else 'Trainings'}: {', '.join(names)}",
        {"runs": reports},
        scripts,
        names=names,
        figures=_figures(opened, records),
        settings=_settings(opened),
        samples=[report["samples"] for report in reports],
        commands=[told.get(str(run)) for run in runs],
        tables=[report["curves"] for report in reports],
    )


def _names(runs: Sequence[Run[Any]]) -> list[str]:
    """Return names of the runs that differ: the last parts of their paths, as many as that takes."""
    paths = [run.path.resolve().parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def _report(run: Run[Any], name: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the scripts show of a run."""
    loss = loss_name(records) or ""
    curves = [(curve, "loss") for curve in loss_curves(records, loss)] if loss else []
    if curves:
        curves += [(learning_rate_curve(records), "rate"), (speed_curve(records, _per_step(run)), "speed")]
    samples = [record for record in records if record["kind"] == SAMPLE]
    return {
        "name": name,
        "loss": loss.replace("_", " "),
        "nats": loss.startswith(NATS),
        "unit": _unit(run),
        "curves": [{**_in_json(curve), "of": of} for curve, of in curves if curve.values],
        "samples": _evenly(samples, MOST_SAMPLES),
    }


def _per_step(run: Run[Any]) -> float:
    """Return what the speed of a run counts: tokens a step, or sequences."""
    settings = run.settings
    return settings.batch_size * (settings.sequence_length if isinstance(run, LanguageRun) else 1)


def _unit(run: Run[Any]) -> str:
    return "tokens" if isinstance(run, LanguageRun) else "sequences"


def _in_json(curve: Curve) -> dict[str, Any]:
    values = dataclasses.asdict(curve)
    return {**values, "values": [float(f"{value:.6g}") for value in curve.values]}


def _evenly(items: list[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return items
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def _figures(runs: Sequence[Run[Any]], histories: Sequence[Sequence[dict[str, Any]]]) -> list[tuple[str, list[str]]]:
    """Return the rows of the table of figures: a name, and a text for each run; rows without any text are left out."""
    rows: dict[str, list[str]] = {}

    def tell(name: str, number: int, text: str) -> None:
        rows.setdefault(name, ["" for _ in runs])[number] = text

    for number, (run, records) in enumerate(zip(runs, histories)):
        epochs = [record for record in records if record["kind"] == "epoch"]
        best = next((record for record in reversed(epochs) if record["best"]), None)
        tell("model", number, f"{run.settings.cell}, {run.settings.units} units")
        if best is not None:
            tell("best epoch", number, f"{best['epoch']:g} of {epochs[-1]['epoch']:g}")
            for key, value in best.items():
                if key.startswith((TRAINING, VALIDATION, BOTH_SIDES)) and (value or not key.endswith("_share")):
                    tell(key.replace("_", " "), number, f"{value:.4f}")
            loss = best.get("validation_nats_per_token")
            if loss is not None:
                tell("validation perplexity", number, f"{math.exp(min(loss, 700)):.2f}")
        if records:
            tell("steps", number, f"{records[-1]['step']:,}")
            tell("training time", number, f"{records[-1]['seconds'] / 60:.1f} minutes")
            changed = datetime.datetime.fromtimestamp(run.directory.history.stat().st_mtime)
            tell("last figures written", number, f"{changed:%Y-%m-%d %H:%M}")
    return list(rows.items())


def _settings(runs: Sequence[Run[Any]]) -> list[tuple[str, list[str]]]:
    """Return the rows of the table of settings: those that differ; of one run those that are not defaults."""
    values = [dataclasses.asdict(run.settings) for run in runs]
    rows = []
    for name in dict.fromkeys(name for each in values for name in each):
        texts = [str(each[name]) if name in each and each[name] is not None else ABSENT for each in values]
        differs = len(set(texts)) > 1 if len(runs) > 1 else values[0][name] != _default(runs[0].settings, name)
        if differs:
            rows.append((name, texts))
    return rows


def _default(settings: Any, name: str) -> Any:
    field = next(field for field in dataclasses.fields(settings) if field.name == name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
