"""Writes the model of a run as a page that makes text in a browser, without a network and without a server."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from seqlm_core.engine.randomness import number_of
from seqlm_core.errors import SeqlmError, UsageError
from seqlm_core.generation.generate import DEFAULT_LENGTH
from seqlm_core.interchange.description import formulas_of
from seqlm_core.interchange.html_weights import EIGHT_BIT, FLOAT16, ROUNDINGS, left_to_right, packed
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.plugins.guarded_tokenizer import origin_of
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.documents import Documents
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.summary import summarize
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.settings.fields import setting_types
from seqlm_core.settings.limits import check_limits
from seqlm_core.settings.settings import LINE_DOCUMENTS
from seqlm_core.views.page import script, write_page

TEMPLATE = "export.html"
SCRIPTS = ("export-network.js", "export-decoding.js", "export-tokens.js", "export.js")
LONGEST = 100_000
"""The most tokens that the page adds at once, and the most characters that it reads."""
CUTTING = {
    "char": "It reads characters, one by one.",
    "space": "It reads what stands between spaces, and line ends.",
    "word": "It reads words and punctuation marks. Where a word may be cut in several ways, the page takes the one "
    "that leaves the fewest characters unknown.",
}
"""The tokenizers that the page can do without Python, which are built in, and what it says of them."""
CUT_WITHIN = ("cannot", "gimme", "gonna", "gotta", "lemme", "wanna")
"""English words that the tokenizer ``word`` may cut between two letters."""
MOST_NAMED = 3


def export_html(run: LanguageRun | PathLike, out: PathLike, *, weights: str = FLOAT16, overwrite: bool = False) -> None:
    """Write the model of a run as a page: one HTML file with the weights and all that it takes to make text with them.

    It is for language models with a built-in tokenizer and a cell that has a native formula, as all built-in ones have.
    Of a bidirectional one the page holds the part that reads from left to right.

    Args:
        run: the run of a language model, or its directory.
        out: the file to write.
        weights: how matrices are rounded: ``float16``, or ``8-bit``, with a scale for each row.
        overwrite: whether a file that is there may be replaced.

    Raises:
        RunError: the directory holds no run of a language model, or is damaged.
        UsageError: ``out`` cannot be used, there is no such rounding, the page cannot do what the run's cell or
            tokenizer does, or the package jinja2 is not installed.
        SeqlmError: the file cannot be written.
    """
    check_limits("weights", weights, str, {"choices": ROUNDINGS})
    path = checked_path("out", out)
    if path.is_dir() or not os.fspath(out):
        raise UsageError(f"`out` must name a file, not {os.fspath(out)!r}")
    if path.exists() and not overwrite:
        raise UsageError(f"`out` {path} is there already; name another file, or let `overwrite` replace it")
    opened = run if isinstance(run, LanguageRun) else LanguageRun(run)
    rules = _rules()
    data = {
        "model": model_of(opened.architecture, formulas_of(opened)[0]),
        "weights": packed(left_to_right(opened.architecture, opened.weights), weights),
        "vocabulary": _vocabulary(opened),
        "rules": rules,
        "length": {"default": DEFAULT_LENGTH, "maximum": LONGEST},
        "key": str(number_of("sampling")),
    }
    try:
        scripts = [script(name) for name in SCRIPTS]
        told = {"facts": _facts(opened, weights), "cutting": CUTTING[opened.settings.tokenizer], "rules": rules}
        write_page(path, TEMPLATE, f"{opened.path.resolve().name}: a language model", data, scripts, **told)
    except OSError as error:
        raise SeqlmError(f"`out` {path} cannot be written to: {error.strerror}") from error


def model_of(architecture: LanguageArchitecture, formula: str) -> dict[str, Any]:
    """Return what the page's network has to know besides its parameters."""
    return {
        "formula": formula,
        "layers": architecture.layers,
        "embedded": architecture.embedding_size > 0,
        "tied": architecture.tie_weights,
        "cutoffs": list(architecture.cutoffs),
        "vocabulary": architecture.vocabulary_size,
    }


def _vocabulary(run: LanguageRun) -> dict[str, Any]:
    """Return what the page has to know of tokens."""
    vocabulary = run.vocabulary
    documents = Documents.of(run.settings.documents, vocabulary, run.tokenizer)
    return {
        "tokens": vocabulary.tokens,
        "counts": vocabulary.counts.tolist(),
        "unknown": vocabulary.unknown_id,
        "start": None if documents is None else documents.start,
        "ends": [] if documents is None or documents.ends is None else documents.ends.nonzero()[0].tolist(),
        "tokenizer": tokenizer_facts(_checked_tokenizer(run), run.tokenizer, run.settings.documents == LINE_DOCUMENTS),
    }


def _checked_tokenizer(run: LanguageRun) -> str:
    """Return the name of the run's tokenizer.

    Raises:
        UsageError: the page cannot cut texts as it does.
    """
    name, origin = run.settings.tokenizer, origin_of(run.tokenizer)
    if origin is None or not origin.source.built_in or name not in CUTTING:
        raise UsageError(
            f"the tokenizer {name!r} of {'this program' if origin is None else origin.source} cannot be exported: it "
            f"cuts texts in Python, and a page can cut them as the built-in {', '.join(CUTTING)} do"
        )
    return name


def tokenizer_facts(name: str, tokenizer: Tokenizer, lines: bool) -> dict[str, Any]:
    """Return what the page has to know of a tokenizer to cut texts.

    Args:
        name: a key of :data:`CUTTING`.
        tokenizer: the tokenizer of this name.
        lines: whether each line is cut by itself.
    """
    cuts = [[word, list(map(len, tokenizer.tokenize(word)))] for word in CUT_WITHIN]
    # By Unicode's boundaries a word is cut nowhere within.
    return {"name": name, "lines": lines, "inner": None if len(tokenizer.tokenize("don't")) == 1 else cuts}


def _rules() -> list[dict[str, Any]]:
    """Return the decoding rules with their defaults and limits."""
    types = setting_types(DecodingRules)
    limits = ("minimum", "maximum", "above")
    return [
        {
            "name": field.name,
            "default": field.default,
            "help": field.metadata["help"],
            "whole": types[field.name] is int,
            **{limit: field.metadata[limit] for limit in limits if limit in field.metadata},
        }
        for field in dataclasses.fields(DecodingRules)
    ]


def _facts(run: LanguageRun, rounding: str) -> list[tuple[str, str]]:
    """Return what the page says of the model: names and values."""
    settings, summary = run.settings, summarize(run.path)
    count = sum(array.size for array in run.weights.values())
    facts = [
        ("Model", f"{settings.cell}, {settings.units} units, {count:,} weights"),
        ("Trained on", _names_of_texts(run)),
        ("Tokens", f"{len(run.vocabulary) - 1:,} ({settings.tokenizer})"),
    ]
    if summary.best is not None:
        facts.append(("Loss", f"{summary.best:.4f} {summary.unit} ({summary.part})"))
    return [*facts, ("Weights", "rounded to 8 bits" if rounding == EIGHT_BIT else f"rounded to {rounding}")]


def _names_of_texts(run: LanguageRun) -> str:
    """Return the names of the texts that a model was trained on, without the folders in which they are."""
    texts = run.config["texts"]["training"]
    names = list(dict.fromkeys(Path(text.get("folder", text["path"])).name for text in texts))
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
