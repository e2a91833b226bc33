"""What goes with the weights of an exported model, as plain values: settings, sizes, vocabulary, facts on tokens."""

from __future__ import annotations

import dataclasses
from typing import Any

from seqlm_core.errors import UsageError
from seqlm_core.native import GATES
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.specs import CellSpec, Tokenizer, TrainableTokenizer
from seqlm_core.reading.documents import Documents
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.opening import open_run
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.settings.arguments import PathLike
from seqlm_core.settings.fields import names_of
from seqlm_core.settings.settings import LanguageSettings, SequenceSettings
from seqlm_core.version import __version__

FORMAT = "seqlm-model-1"
OF_READING = ("sequence_length", "constrain")
"""The settings that a model is used with, beside those that shape it."""


def opened_run(run: Run[Any] | PathLike) -> Run[Any]:
    """Return a run that is given itself, or by its directory."""
    return run if isinstance(run, Run) else open_run(run)


def formula_of(cell: Component[CellSpec]) -> str:
    """Return the native formula of a cell.

    Raises:
        UsageError: it has none, so other programs cannot compute it.
    """
    formula = cell.spec.native_formula(cell.options)
    if formula is None:
        raise UsageError(
            f"the cell {cell.spec.name!r} of {cell.source} cannot be exported or imported: other programs have the "
            f"formulas {', '.join(GATES)}, and it names none of them as its own (`native`)"
        )
    return formula


def formulas_of(run: Run[Any]) -> tuple[str, str | None]:
    """Return the formula of a run's layers, and that of the layer that reads characters, if there is one.

    Raises:
        UsageError: a cell has none, or was found to compute something else.
    """
    problem = run.config.get("step_problem")
    if problem:
        raise UsageError(
            f"the cell {run.cell.spec.name!r} of {run.cell.source} cannot be exported: its step {problem}, so "
            "nobody knows what its layer computes"
        )
    char_cell = run.char_cell if isinstance(run, SequenceRun) else None
    return formula_of(run.cell), None if char_cell is None else formula_of(char_cell)


def settings_of_model(run: Run[Any]) -> dict[str, Any]:
    """Return the settings that shape a run's model, and those that it is used with."""
    kind = LanguageSettings if isinstance(run, LanguageRun) else SequenceSettings
    wanted = (*names_of(kind, "shapes_model"), *OF_READING)
    return {name: value for name, value in dataclasses.asdict(run.settings).items() if name in wanted}


def description_of(run: Run[Any]) -> dict[str, Any]:
    """Return what goes with the weights of a run, as values that JSON can hold."""
    told: dict[str, Any] = {
        "format": FORMAT,
        "seqlm": __version__,
        "task": run.task,
        "settings": settings_of_model(run),
        "architecture": dataclasses.asdict(run.architecture),
        "plugins": {role: plugin for role, plugin in run.config["plugins"].items() if role != "optimizer"},
    }
    if isinstance(run, LanguageRun):
        return {**told, **_of_tokens(run)}
    if not isinstance(run, SequenceRun):
        raise TypeError(f"there is no description of a {type(run).__name__}")
    read: dict[str, Any] = {name: run.config[name] for name in ("vectors", "language_model") if name in run.config}
    return {**told, "encoders": run.codecs_without_sources.to_json(), **read}


def _of_tokens(run: LanguageRun) -> dict[str, Any]:
    vocabulary, tokenizer = run.vocabulary, run.tokenizer
    documents = Documents.of(run.settings.documents, vocabulary, tokenizer)
    ends = None if documents is None or documents.ends is None else documents.ends.nonzero()[0].tolist()
    state = {"state": tokenizer.state()} if isinstance(tokenizer, TrainableTokenizer) else {}
    return {
        "vocabulary": vocabulary.to_json(),
        "unknown_id": vocabulary.unknown_id,
        "tokenizer": {**state, "name": run.settings.tokenizer, "joins": _joins(tokenizer, vocabulary.tokens[1:])},
        "documents": None if documents is None else {"start": documents.start, "ends": ends or []},
    }


def _joins(tokenizer: Tokenizer, tokens: list[str]) -> bool:
    """Whether the tokens, one after the other, are the text, as far as the tokens of the vocabulary tell."""
    each = all(tokenizer.detokenize([token]) == token for token in tokens)
    return each and tokenizer.detokenize(tokens) == "".join(tokens)
