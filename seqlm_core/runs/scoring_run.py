"""The run of a language model as far as it says how surprising texts are."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Callable, Union

import numpy as np

from seqlm_core.display.bar import Bar
from seqlm_core.engine.availability import has_mxnet, missing_mxnet
from seqlm_core.engine.processes import number_of_jobs
from seqlm_core.errors import SettingError
from seqlm_core.evaluation.continuous_cache import check_memory
from seqlm_core.evaluation.parts import LeftOut, stretch_bits, surprisals_in_parts
from seqlm_core.evaluation.reading import OneStream, RuledReading, TrainedStream
from seqlm_core.evaluation.surprisal import (
    LineSurprisal,
    TokenSurprisal,
    adapted_surprisals,
    line_surprisals,
    token_surprisals,
    with_unknown_warning,
)
from seqlm_core.reading.documents import tokens_of_documents, with_line_end
from seqlm_core.reading.progress import size_of_texts
from seqlm_core.reading.sources import check_texts, open_texts
from seqlm_core.reading.text import read_blocks
from seqlm_core.runs.infilling_run import InfillingRun
from seqlm_core.runs.networks import window_network
from seqlm_core.runs.parallel import compute_stretch, jobs_in_order
from seqlm_core.settings.arguments import PathLike, check_argument, check_encoding, checked_path
from seqlm_core.settings.reading_rules import ReadingRules, reading_rules
from seqlm_core.settings.settings import NO_DOCUMENTS

Surprisal = Union[LineSurprisal, TokenSurprisal]


class ScoringRun(InfillingRun):
    """A run, and how surprising texts are to its model; see :class:`~seqlm_core.runs.language_run.LanguageRun`."""

    def score(
        self,
        file: PathLike,
        *,
        per: str = "line",
        encoding: str = "utf-8",
        first: int = 0,
        jobs: int | None = None,
        **rules: Any,
    ) -> Iterator[Surprisal]:
        """Return the surprisal of each line, or of each token, of a file, reading from left to right.

        Args:
            file: the file, or a folder of files, which are read as one text; ``-`` is standard input.
            per: ``line`` or ``token``.
            encoding: the encoding of the file.
            first: how many lines or tokens to leave out, at the beginning.
            jobs: read the text in parts, by so many processes; 0 is one for each usable core. The parts are the same
                whatever the number. Each is read after some hundred tokens before it, and not after all of them, so
                the figures differ a little from those without jobs; see :mod:`seqlm_core.evaluation.parts`.
            rules: see :meth:`evaluate`.

        Raises:
            UsageError: ``per`` is something else; or a rule is not one, is out of its range, is not for this model, or
                does not go with jobs.
            TextError: the file cannot be read.
            RunError: with several jobs, if the weights of the run change meanwhile.
        """
        _check_per(per)
        made = self._reading_rules(rules)
        check_argument("first", first, int, minimum=0)
        if jobs is not None:
            check_argument("jobs", jobs, int, minimum=0)
            if made:
                raise SettingError(
                    "jobs", "does not go with `adapt` or `cache`, which learn from all of the text before"
                )
        path = checked_path("file", file)
        check_encoding(encoding)
        check_texts(path, folders=True)
        bar = Bar("scoring")
        files = files_of(path, encoding, self.settings.documents, bar)
        if jobs is None:
            found = self._surprisals(files, per, os.fspath(path), made, bar)
            return itertools.islice(found, first, None)
        return self._surprisals_in_parts(files, per, os.fspath(path), first, number_of_jobs(jobs), bar)

    def score_text(self, text: str, *, per: str = "line", **rules: Any) -> Iterator[Surprisal]:
        """Return the surprisal of each line, or of each token, of a text; see :meth:`score`.

        Args:
            text: the text itself.
            per: ``line`` or ``token``.
            rules: see :meth:`evaluate`.

        Raises:
            UsageError: ``per`` is something else; or a rule is not one, is out of its range, or is not for this model.
        """
        _check_per(per)
        check_argument("text", text, str)
        return self._surprisals(iter([iter([text])]), per, "the text", self._reading_rules(rules), Bar("scoring"))

    def _surprisals(
        self, files: Iterator[Iterator[str]], per: str, name: str, rules: ReadingRules, bar: Bar
    ) -> Iterator[Surprisal]:
        tokens = tokens_of_documents(files, self.tokenizer, self.settings.documents)
        surprisals = (
            adapted_surprisals(self._losses_by(rules), self.vocabulary, tokens, self._start)
            if rules
            else token_surprisals(self.network, self.vocabulary, tokens, self._start)
        )
        warned = with_unknown_warning(_noted(surprisals, bar), name)
        return warned if per == "token" else line_surprisals(warned, self.tokenizer)

    def _surprisals_in_parts(
        self, files: Iterator[Iterator[str]], per: str, name: str, first: int, jobs: int, bar: Bar
    ) -> Iterator[Surprisal]:
        tokens = tokens_of_documents(files, self.tokenizer, self.settings.documents)
        shared = self._shared(jobs)
        compute = (
            functools.partial(stretch_bits, window_network(self))
            if shared is None
            else functools.partial(compute_stretch, shared)
        )
        left_out = LeftOut(first, per)

        def is_left_out(names: list[str]) -> bool:
            done = left_out.covers(names)
            if done:
                bar.advance(len("".join(names).encode()))
            return done

        with jobs_in_order(jobs, "computed surprisals") as in_order:
            surprisals = surprisals_in_parts(in_order, compute, self.vocabulary, tokens, self._start, is_left_out)
            warned = with_unknown_warning(_noted(surprisals, bar), name)
            found: Iterator[Surprisal] = warned if per == "token" else line_surprisals(warned, self.tokenizer)
            for number, surprisal in enumerate(found):
                if number >= left_out.rest:
                    yield surprisal

    def _reading_rules(self, given: Mapping[str, Any]) -> ReadingRules:
        """Return the rules that are given.

        Raises:
            UsageError: a rule is not one, is out of its range, or is not for this model.
            SeqlmError: a rule needs MXNet, which is not installed.
        """
        rules = reading_rules(given)
        for name in ("adapt", "cache"):
            if getattr(rules, name) and self.architecture.bidirectional:
                raise SettingError(
                    name,
                    f"is for models that read from the left only, and {self.path} holds one of cell "
                    f"{self.cell.spec.name!r}, which is bidirectional",
                )
        if rules.adapt and not has_mxnet():
            raise missing_mxnet("`adapt` learns by gradients, and so it")
        if rules.cache:
            check_memory(rules.cache, self.architecture.hidden_sizes[-1], rules.window)
        return rules

    def _losses_by(self, rules: ReadingRules) -> Callable[[Iterable[tuple[int, bool]]], Iterator[np.ndarray]]:
        """Return what reads a text by rules; see :meth:`~seqlm_core.evaluation.reading.RuledReading.losses`."""
        has_documents = self._documents is not None
        stream: OneStream
        if not rules.adapt:
            stream = TrainedStream(window_network(self), has_documents)
        else:
            from seqlm_core.evaluation.adaptation import AdaptingStream

            # What is adapted changes, so it is a network of its own.
            stream = AdaptingStream(self._new_network(), rules, has_documents)
        return RuledReading(stream, rules).losses


def _check_per(per: str) -> None:
    if per not in ("line", "token"):
        raise SettingError("per", f"must be line or token, not {per!r}")


def _noted(surprisals: Iterator[TokenSurprisal], bar: Bar) -> Iterator[TokenSurprisal]:
    """Yield the surprisals unchanged, and note on a bar how many bytes of text they are of."""
    with bar:
        for surprisal in surprisals:
            yield surprisal
            bar.advance(len(surprisal.token.encode()))


def files_of(path: Path, encoding: str, documents: str, bar: Bar | None = None) -> Iterator[Iterator[str]]:
    """Yield the blocks of each file that a path leads to, one file after the other.

    Args:
        path: a file, or a folder of files.
        encoding: their encoding.
        documents: the setting of that name.
        bar: is told how many bytes there are.
    """
    with open_texts(path, folders=True) as opened:
        if bar is not None:
            bar.total = size_of_texts(opened)
        for file in opened:
            blocks = read_blocks(file, encoding)
            yield blocks if documents == NO_DOCUMENTS else with_line_end(blocks)
