"""What can be told of a run at a glance: its kind, its best figure, and whether it is finished. No weights are read."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError
from seqlm_core.runs.config import LANGUAGE_MODEL, code_of_user, is_compressed, recorded_settings
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.settings.settings import BY_SCORE
from seqlm_core.settings.training_settings import TrainingSettings
from seqlm_core.storage.checkpoint import state_in
from seqlm_core.storage.locking import is_locked
from seqlm_core.storage.schema import COUNT, NUMBER, OBJECT, check

RUNNING, FINISHED, INTERRUPTED, IMPORTED, DAMAGED = "running", "finished", "interrupted", "imported", "damaged"
COMPRESSED = "compressed"

TAGGER = "tagger"

LOSSES = ("nats_per_token", "nats_per_label", "normalized_squared_error")
SCORES = ("chunk_f1", "accuracy")

_LAST = {"training": {"step": COUNT, "epoch": COUNT, "extensions": {"early_stopping": {"epochs_without_best": COUNT}}}}
_BEST = {"record": OBJECT}
_RECORD = {"record": {"step": COUNT, "epoch": NUMBER}}


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """What can be told of a run at a glance. What cannot be known of a damaged run is None.

    Attributes:
        path: the run directory.
        state: ``running`` while a process trains it; ``finished``; ``interrupted``, so that it can go on;
            ``imported``, so that there is no training; ``compressed``, so that it can be used and not go on; or
            ``damaged``.
        changed: when one of its files was last changed.
        kind: ``language model``; ``tagger``, which reads tokens and labels each of them; or ``sequence model``.
        cell: the name of the recurrent cell.
        hidden_sizes: the number of units in each direction of each layer, the lowest first.
        units: the same in words, such as ``2 x 512``.
        step: the number of steps that the last checkpoint has done; of an imported run this and the next five are None.
        epoch: the number of whole epochs among them.
        epochs: the number of epochs at the most.
        best: the figure of the best epoch: for language models the loss, for taggers that by which the best epoch is
            chosen; None before the first epoch ends.
        unit: what the figure is, such as ``nats per token``.
        part: what it was taken of: ``validation``, or ``training`` if nothing is kept for validation.
        needs_python: whether it was begun with extensions, a schedule or plugins of a program, which only Python can
            give again.
        problem: what is wrong with it, or what it cannot go on without, in a few words; None if nothing is.
    """

    path: Path
    state: str
    changed: datetime.datetime
    kind: str | None = None
    cell: str | None = None
    hidden_sizes: tuple[int, ...] | None = None
    units: str | None = None
    step: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    best: float | None = None
    unit: str | None = None
    part: str | None = None
    needs_python: bool = False
    problem: str | None = None


def summarize(path: Path) -> RunSummary:
    """Return the summary of the run in a directory, however damaged it is."""
    directory = RunDirectory(path)
    is_running = _is_running(path)
    told: dict[str, Any] = {}
    state, problem = DAMAGED, None
    try:
        config = directory.read_config()
        settings = recorded_settings(config, directory.config)
        told.update(_described(config, settings))
        told.update(_best(directory, settings))
        if "imported_from" in config:
            told["epochs"] = None
            _state(directory, directory.best, _BEST)
            state = COMPRESSED if is_compressed(config) else IMPORTED
        elif is_compressed(config):
            record = _state(directory, directory.best, _RECORD)["record"]
            told.update(step=record["step"], epoch=int(record["epoch"]))
            state = COMPRESSED
        else:
            training = _training(directory)
            told.update(step=training["step"], epoch=training["epoch"])
            state = FINISHED if is_finished(settings, training) else INTERRUPTED
            problem = _missing(directory, config) if state == INTERRUPTED else None
    except (RunError, OSError) as error:
        problem = str(error).replace(f"{path}{os.sep}", "").replace(f"{path} ", "")
    if is_running:
        has_begun = directory.config.exists()
        state, problem = RUNNING, problem if has_begun and state == DAMAGED else None
    return RunSummary(path, state, _changed(directory), problem=problem, **told)


def is_finished(settings: TrainingSettings, training: Mapping[str, Any]) -> bool:
    """Return whether a training has ended: no steps are left, or it was stopped early.

    Args:
        settings: the settings of the run.
        training: the state of the training in the run's last checkpoint.
    """
    without_best = training["extensions"]["early_stopping"]["epochs_without_best"]
    return (
        (settings.epochs is not None and training["epoch"] >= settings.epochs)
        or (settings.max_steps is not None and training["step"] >= settings.max_steps)
        or 0 < settings.patience <= without_best
    )


def _is_running(path: Path) -> bool:
    try:
        return is_locked(path)
    except OSError:  # the error comes where a file is read
        return False


def _described(config: Mapping[str, Any], settings: TrainingSettings) -> dict[str, Any]:
    architecture = config["architecture"]
    labels_tokens = (architecture.get("inputs"), architecture.get("outputs")) == ("tokens", "labels")
    return {
        "kind": TAGGER if config["task"] != LANGUAGE_MODEL and labels_tokens else config["task"],
        "cell": settings.cell,
        "hidden_sizes": settings.hidden_sizes,
        "units": settings.units,
        "epochs": settings.epochs,
        "needs_python": bool(code_of_user(config, settings)),
    }


def _training(directory: RunDirectory) -> dict[str, Any]:
    """Return the state of the training in the last checkpoint; of a run that died before its first, one of step 0."""
    if not os.path.lexists(directory.last) and not os.path.lexists(directory.best):
        return {"step": 0, "epoch": 0, "extensions": {"early_stopping": {"epochs_without_best": 0}}}
    return dict(_state(directory, directory.last, _LAST)["training"])


def _best(directory: RunDirectory, settings: Any) -> dict[str, Any]:
    """Return the figure of the best epoch, with its unit and the part that it was taken of."""
    if not os.path.lexists(directory.best):
        return {}
    record = _state(directory, directory.best, _BEST)["record"]
    names = (*SCORES, *LOSSES) if getattr(settings, "best_by", None) == BY_SCORE else LOSSES
    for part in ("validation", "training"):
        for name in names:
            figure = f"{part}_{name}"
            if figure in record:
                try:
                    check(record, {figure: NUMBER}, "its record")
                except ValueError as error:
                    raise RunError(f"{directory.best} is damaged: {error}") from error
                return {"best": record[figure], "unit": name.replace("_", " "), "part": part}
    return {}


def _state(directory: RunDirectory, path: Path, wanted: Any) -> dict[str, Any]:
    state = state_in(path)
    try:
        check(state, wanted, "its state")
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if state.get("file") != path.name or state.get("run_id") != directory.run_id:
        raise RunError(f"{path} belongs to another run, or is another file")
    return state


def _missing(directory: RunDirectory, config: Mapping[str, Any]) -> str | None:
    """Return what a run cannot go on without and that is not there, as far as that is known without reading it."""
    for text in (*config["texts"]["training"], *config["texts"]["validation"]):
        if not os.path.exists(directory.path / text["path"]):  # the path of a text that the run keeps is relative
            return f"its text {text['path']} is missing"
    read = config.get("language_model")
    if read is not None and not os.path.exists(read["path"]):
        return f"its language model {read['path']} is missing"
    return None


def _changed(directory: RunDirectory) -> datetime.datetime:
    times = []
    for path in (directory.path, *directory.files):
        if path == directory.path or os.path.lexists(path):
            try:
                times.append(os.lstat(path).st_mtime)
            except OSError:  # removed meanwhile
                continue
    return datetime.datetime.fromtimestamp(max(times, default=0.0), datetime.timezone.utc).astimezone()
