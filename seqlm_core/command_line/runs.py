"""``seqlm runs``"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from seqlm_core.command_line.completion import complete_folders
from seqlm_core.command_line.run_commands import resume_command
from seqlm_core.command_line.table import aligned, printable
from seqlm_core.errors import RunError
from seqlm_core.runs.new_run import DEFAULT_PARENT
from seqlm_core.runs.summary import INTERRUPTED

if TYPE_CHECKING:
    from seqlm_core.runs.summary import RunSummary

HEADER = ("RUN", "KIND", "CELL", "UNITS", "BEST", "CHANGED", "STATE", "NOTE")
IN_PYTHON = "only Python can go on with it: seqlm_core.resume"


@click.command("runs")
@click.argument("folder", metavar="[FOLDER]", required=False, shell_complete=complete_folders)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each run.")
def runs_command(folder: str | None, as_json: bool) -> None:
    """List the runs in FOLDER and in the folders within it.

    Without FOLDER they are those in data/models, where trainings without --out write. For a run that was interrupted,
    the note is the command that goes on with it; for a damaged one, what is wrong.
    """
    import seqlm_core as seqlm

    runs = seqlm.find_runs(folder)
    if as_json:
        for run in runs:
            click.echo(json.dumps(_as_json(run)))
        return
    if not runs:
        click.echo(f"no runs in {DEFAULT_PARENT if folder is None else folder}", err=True)
        return
    for line in aligned([HEADER, *map(_row, runs)]):
        click.echo(line)


def _resume(run: RunSummary) -> str | None:
    """Return the command that goes on with a run; None if there is none, or nothing to go on with."""
    if run.state != INTERRUPTED or run.needs_python:
        return None
    try:
        return resume_command(run.path)
    except RunError:  # it was changed or removed meanwhile
        return None


def _problem(run: RunSummary) -> str | None:
    if run.problem is None:
        return IN_PYTHON if run.state == INTERRUPTED and run.needs_python else None
    return run.problem


def _row(run: RunSummary) -> tuple[str, ...]:
    part = "" if run.part == "validation" else f" ({run.part})"
    cells = (
        str(run.path),
        run.kind,
        run.cell,
        run.units,
        None if run.best is None else f"{run.best:.4f} {run.unit}{part}",
        run.changed.strftime("%Y-%m-%d %H:%M"),
        run.state,
        "; ".join(filter(None, (_problem(run), _resume(run)))),
    )
    return tuple("-" if cell is None else printable(cell) for cell in cells)


def _as_json(run: RunSummary) -> dict[str, Any]:
    told = {**dataclasses.asdict(run), "path": str(run.path), "changed": run.changed.isoformat()}
    return {**told, "problem": _problem(run), "resume": _resume(run)}
