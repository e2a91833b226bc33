"""The page on which a text is coloured by what a model makes of it."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import regex

from seqlm_core.evaluation.inspection import InspectedToken, Inspection, Reading
from seqlm_core.evaluation.text_features import FollowingUnit, following_units
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.sequence_predictions import Labelling
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.sequences.columns import Columns, ColumnSequence, read_sequences
from seqlm_core.sequences.examples import Label
from seqlm_core.sequences.tokens import texts_of
from seqlm_core.settings.arguments import PathLike, check_encoding, checked_path
from seqlm_core.views.page import script, write_page

TEMPLATE, SCRIPT = "inspect.html", "inspect.js"
MOST_TOKENS = 5_000
"""How many tokens of a text a page shows if it is not told otherwise."""
MOST_ACTIVATIONS = 8_000_000
"""A page holds so many values of units, a byte each. Of larger models it holds the units that follow the text best."""
LARGEST = 127
ALTERNATIVES = 5
LEAST_COLOURED = 8
"""From so many bits on at least, or from twice the mean, the colour of the surprisal is the same."""


def write_inspection(
    run: PathLike, file: PathLike, out: PathLike, *, encoding: str = "utf-8", limit: int = MOST_TOKENS
) -> Inspection:
    """Write a page on which a text is coloured by its surprisal under a language model, or by one of the units.

    Args:
        run: the directory of the language model's run.
        file: the text; ``-`` is standard input.
        out: the page to write, an HTML file.
        encoding: the encoding of the text.
        limit: how many tokens of the text to show, from its beginning.

    Returns:
        What is on the page.

    Raises:
        RunError: the directory holds no run of a language model, or is damaged.
        TextError: the text cannot be read.
        UsageError: the package that makes pages is not installed.
    """
    opened = LanguageRun(run)
    inspection = opened.inspect(file, encoding=encoding, limit=limit)
    following = following_units([token.text for token in inspection.tokens], inspection.activations)
    figures = f"{len(inspection.tokens):,} tokens; {inspection.bits:.3f} bits per token from left to right"
    readings = [_reading("From left to right", [token.left for token in inspection.tokens])]
    if opened.architecture.bidirectional:
        figures += f", {inspection.both_sides_bits:.3f} with the text on both sides"
        readings.append(_reading("With the text on both sides", [token.both_sides for token in inspection.tokens]))
    most = max(LEAST_COLOURED, math.ceil(2 * inspection.bits))
    names: dict[str, int] = {}
    data = {
        "measure": "Surprisal",
        "lowest": "0 bits",
        "highest": f"{most} bits",
        "most": most,
        "tokens": [token.token for token in inspection.tokens],
        "cells": _cells(inspection.tokens),
        "readings": [_with_numbers(reading, names) for reading in readings],
        "following": [dataclasses.asdict(unit) for unit in following],
        "layers": _layers(inspection.activations, following),
    }
    settings = opened.settings
    about = f"{settings.cell}, {settings.units} units, {settings.tokenizer} tokens; run {opened.path}; text {file}"
    _write(out, f"{Path(file).name}, read by {opened.path.resolve().name}", data, names, about, figures, following)
    return inspection


def write_label_inspection(
    run: PathLike,
    file: PathLike,
    out: PathLike,
    *,
    columns: Columns | None = None,
    encoding: str = "utf-8",
    limit: int = MOST_TOKENS,
    language_model: PathLike | None = None,
) -> None:
    """Write a page with the labels that a tagger predicts, beside those in the file, and how sure it is of each.

    Args:
        run: the directory of the tagger's run.
        file: the column file.
        out: the page to write, an HTML file.
        columns: which columns hold the tokens, the labels, and what else is read; None takes the first and the last.
            A file with tokens alone has no labels to compare with.
        encoding: the encoding of the file.
        limit: how many tokens to show, in whole sequences.
        language_model: where the language model is that the tagger reads, if it was moved.

    Raises:
        RunError: the directory holds no run of a tagger, or is damaged.
        TextError: the file cannot be read.
        UsageError: the model does not label tokens, or the package that makes pages is not installed.
    """
    tagger = SequenceRun(run, language_model)
    columns = columns or Columns()
    path = checked_path("file", file)
    check_encoding(encoding)
    sequences: list[ColumnSequence] = []
    shown = 0
    for sequence in read_sequences(path, encoding):
        if sequences and shown + len(sequence) > limit:
            break
        sequences.append(sequence)
        shown += len(sequence)
    has_gold = bool(sequences) and sequences[0].width > 1
    read = [columns.tokens(sequence) for sequence in sequences]
    nothing: list[Any] = [None]
    gold = [columns.labels(sequence) if has_gold else nothing * len(sequence) for sequence in sequences]
    tagger.expect(shown)
    found = tagger.label(read, probabilities=True)
    labelled = [
        token
        for words, labels, labelling in zip(map(texts_of, read), gold, found)
        for token in _labelled(words, labels, labelling, tagger.labels)
    ]
    reading = {
        "name": "Labels",
        "values": [1 - token.probability for token in labelled],
        "told": [token.in_words for token in labelled],
        "alternatives": [token.alternatives for token in labelled],
    }
    names: dict[str, int] = {}
    data = {
        "measure": "Doubt: 1 - probability of the label",
        "lowest": "0",
        "highest": "1",
        "most": 1.0,
        "tokens": [token.text for token in labelled],
        "cells": [
            {"text": f"{token.text} ", "first": number, "last": number, "ends": token.is_last, "classes": token.classes}
            for number, token in enumerate(labelled)
        ],
        "readings": [_with_numbers(reading, names)],
        "following": [],
        "layers": [],
    }
    figures = f"{len(labelled):,} tokens in {len(sequences):,} sequences"
    if has_gold and labelled:
        right = sum(not token.is_wrong for token in labelled)
        figures += f"; {right:,} labels as in the file ({right / len(labelled):.2%}); the others are underlined"
    about = f"{tagger.settings.cell}, {tagger.settings.units} units; run {tagger.path}; file {file}"
    _write(out, f"{Path(file).name}, labelled by {tagger.path.resolve().name}", data, names, about, figures, [])


@dataclasses.dataclass(frozen=True)
class _LabelledToken:
    """A token, the label that a tagger predicts for it and how probable it is, and the label that the file gives it."""

    text: str
    is_last: bool
    predicted: Label
    probability: float
    alternatives: list[tuple[str, float]]
    gold: str | None

    @property
    def is_wrong(self) -> bool:
        return self.gold is not None and self.gold != self.predicted

    @property
    def classes(self) -> str:
        return "wrong" if self.is_wrong else ""

    @property
    def in_words(self) -> str:
        told = f"predicted {self.predicted} ({self.probability:.3f})"
        return told if self.gold is None else f"{told}, in the file {self.gold}"


def _labelled(
    words: Sequence[str], gold: Sequence[str | None], labelling: Labelling, labels: Sequence[Label]
) -> Iterator[_LabelledToken]:
    """Yield the tokens of a sequence with what the tagger makes of them."""
    numbers = {label: number for number, label in enumerate(labels)}
    for place, (word, own, predicted) in enumerate(zip(words, gold, labelling.best[0].labels)):
        row = np.asarray(labelling.probabilities)[place]
        likely = np.argsort(-row, kind="stable")[:ALTERNATIVES]
        alternatives = [(str(labels[number]), float(row[number])) for number in likely]
        probability = float(row[numbers[predicted]])
        yield _LabelledToken(word, place == len(words) - 1, predicted, probability, alternatives, own)


def _write(
    out: PathLike,
    title: str,
    data: dict[str, Any],
    names: dict[str, int],
    about: str,
    figures: str,
    following: Sequence[FollowingUnit],
) -> None:
    data = {**data, "names": list(names)}
    scripts = [script(SCRIPT)]
    write_page(
        checked_path("out", out), TEMPLATE, title, data, scripts, about=about, figures=figures, following=following
    )


def _reading(name: str, readings: Sequence[Reading | None]) -> dict[str, Any]:
    return {
        "name": name,
        "values": [None if reading is None else round(reading.bits, 3) for reading in readings],
        "told": [None if reading is None else f"{reading.bits:.2f} bits" for reading in readings],
        "alternatives": [[] if reading is None else reading.alternatives for reading in readings],
    }


def _with_numbers(reading: dict[str, Any], names: dict[str, int]) -> dict[str, Any]:
    """Return a reading whose alternatives are told by their numbers in ``names``, to which new ones are added."""
    numbered = [
        [(names.setdefault(name, len(names)), round(probability, 4)) for name, probability in likely]
        for likely in reading["alternatives"]
    ]
    return {**reading, "alternatives": numbered}


def _cells(tokens: Sequence[InspectedToken]) -> list[dict[str, Any]]:
    """Return what is shown as a whole: the fewest tokens that are whole characters together, as a reader sees them.

    A letter and its accents are one, though each may be a token of its own.
    """
    text = "".join(token.text for token in tokens)
    borders = {match.end() for match in regex.finditer(r"\X", text)}
    ends = itertools.accumulate(len(token.text) for token in tokens)
    cells: list[dict[str, Any]] = []
    first, begin = 0, 0
    for number, (token, end) in enumerate(zip(tokens, ends)):
        is_last = number == len(tokens) - 1
        if not is_last and (end == begin or end not in borders):
            continue
        cell: dict[str, Any] = {"text": text[begin:end], "first": first, "last": number}
        if not all(token.known for token in tokens[first : number + 1]):
            cell["classes"] = "unknown"
        cells.append(cell)
        first, begin = number + 1, end
    return cells


def _layers(activations: dict[str, np.ndarray], following: Sequence[FollowingUnit]) -> list[dict[str, Any]]:
    """Return the values of the units as bytes; of too many units those that follow the text, and the first ones."""
    total = sum(array.size for array in activations.values())
    layers = []
    for name, array in activations.items():
        places, units = array.shape
        kept = list(range(units))
        if total > MOST_ACTIVATIONS:
            wanted = [unit.unit for unit in following if unit.layer == name]
            most = max(len(wanted), int(MOST_ACTIVATIONS / total * units))
            kept = sorted(dict.fromkeys([*wanted, *range(units)]), key=lambda unit: (unit not in wanted, unit))[:most]
            kept.sort()
        chosen = array[:, kept]
        scales = np.maximum(np.abs(chosen).max(axis=0), 1e-12) if places else np.ones(len(kept))
        rounded = np.round(chosen / scales * LARGEST).astype(np.int8)
        layers.append(
            {
                "name": name,
                "units": kept,
                "scales": [float(f"{scale:.6g}") for scale in scales],
                "values": base64.b64encode(np.ascontiguousarray(rounded.T).tobytes()).decode(),
            }
        )
    return layers
