"""The run of a language model: making text, evaluation and scores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np

from seqlm_core.display.bar import Bar
from seqlm_core.engine.availability import has_mxnet, missing_mxnet
from seqlm_core.errors import SettingError, UsageError
from seqlm_core.evaluation.continuous_cache import check_memory
from seqlm_core.evaluation.inspection import Inspection, Inspector, right_context_of
from seqlm_core.evaluation.language import (
    LanguageEvaluation,
    LanguageEvaluator,
    check_predictable,
    evaluation_of,
)
from seqlm_core.evaluation.reading import OneStream, RuledReading, TrainedStream
from seqlm_core.evaluation.surprisal import (
    LineSurprisal,
    TokenSurprisal,
    adapted_surprisals,
    line_surprisals,
    token_surprisals,
    with_unknown_warning,
)
from seqlm_core.reading.corpus import read_text
from seqlm_core.reading.documents import tokens_of_documents, with_line_end
from seqlm_core.reading.progress import size_of_texts
from seqlm_core.reading.sources import check_texts, open_texts
from seqlm_core.reading.text import read_blocks
from seqlm_core.reading.tokenized_text import warn_of_unknown_tokens
from seqlm_core.runs.generating_run import GeneratingRun
from seqlm_core.runs.history import SAMPLE
from seqlm_core.runs.networks import window_network
from seqlm_core.settings.arguments import PathLike, check_argument, check_encoding, checked_path
from seqlm_core.settings.fields import chosen
from seqlm_core.settings.reading_rules import ReadingRules, reading_rules
from seqlm_core.settings.settings import NO_DOCUMENTS


class LanguageRun(GeneratingRun):
    """The run of a language model.

    Args:
        path: the run directory.

    Raises:
        RunError: the directory holds no run of a language model, is damaged, or needs a plugin that is missing.
    """

    def training_samples(self) -> list[dict[str, Any]]:
        """Return the texts that were sampled during the training, the oldest first, every ``sample_every`` steps.

        Each is a dictionary with ``step``, ``epoch``, ``seconds`` (the training time so far) and ``text``. Runs of
        earlier versions kept none.

        Raises:
            RunError: the history is missing or damaged.
        """
        samples = (record for record in self.records() if record["kind"] == SAMPLE)
        return [{name: sample[name] for name in ("step", "epoch", "seconds", "text")} for sample in samples]

    def evaluate(
        self, *texts: PathLike | Sequence[PathLike], encoding: str = "utf-8", **rules: Any
    ) -> list[LanguageEvaluation]:
        """Return the model's figures on each of the texts.

        Args:
            texts: files. A list of files is read as one text, and so is a folder of files. ``-`` is standard input.
            encoding: the encoding of the files.
            rules: ``adapt``, ``cache`` and the others, the fields of
                :class:`~seqlm_core.settings.reading_rules.ReadingRules`. Each text is begun with the trained weights
                and an empty cache, and the run is not changed.

        Raises:
            TextError: a text cannot be read, or is too short to predict anything.
            UsageError: a rule is not one, is out of its range, or is not for this model.
        """
        made = self._reading_rules(rules)
        check_encoding(encoding)
        if not texts:
            raise UsageError("name at least one text to evaluate on, as in run.evaluate('other.txt')")
        for text in texts:
            if not check_texts(text, folders=True):
                raise UsageError("the list of texts is empty")
        found = []
        for text in texts:
            with open_texts(text, folders=True) as opened:
                tokenized = read_text(opened, self.tokenizer, self.vocabulary, encoding, self.settings.documents)
            warn_of_unknown_tokens(tokenized)
            if made:
                check_predictable(tokenized)
                total = 0.0
                with Bar("evaluating", len(tokenized) - 1) as bar:
                    for losses in self._losses_by(made)(tokenized.with_ends()):
                        total += float(losses.sum())
                        bar.advance(len(losses))
                found.append(evaluation_of(tokenized, total, reading_rules=made))
                continue
            s = self.settings
            network = window_network(self)
            found.append(LanguageEvaluator(network, tokenized, s.sequence_length, chosen(s.batch_size)).evaluate())
        return found

    def score(
        self, file: PathLike, *, per: str = "line", encoding: str = "utf-8", **rules: Any
    ) -> Iterator[LineSurprisal | TokenSurprisal]:
        """Return the surprisal of each line, or of each token, of a file, reading from left to right.

        Args:
            file: the file, or a folder of files, which are read as one text; ``-`` is standard input.
            per: ``line`` or ``token``.
            encoding: the encoding of the file.
            rules: see :meth:`evaluate`.

        Raises:
            UsageError: ``per`` is something else; or a rule is not one, is out of its range, or is not for this model.
            TextError: the file cannot be read.
        """
        _check_per(per)
        made = self._reading_rules(rules)
        path = checked_path("file", file)
        check_encoding(encoding)
        check_texts(path, folders=True)
        bar = Bar("scoring")
        files = _files(path, encoding, self.settings.documents, bar)
        return self._surprisals(files, per, os.fspath(path), made, bar)

    def score_text(self, text: str, *, per: str = "line", **rules: Any) -> Iterator[LineSurprisal | TokenSurprisal]:
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

    def inspect(self, file: PathLike, *, encoding: str = "utf-8", limit: int = 5_000) -> Inspection:
        """Return what the model makes of each token of a text: surprisal, likely alternatives, states of its units.

        Args:
            file: the file, or a folder of files, which are read as one text; ``-`` is standard input.
            encoding: the encoding of the file.
            limit: how many tokens to read, from the beginning of the text; at least 1.

        Raises:
            TextError: the file cannot be read.
            UsageError: the limit is below 1.
        """
        path = checked_path("file", file)
        check_encoding(encoding)
        check_texts(path, folders=True)
        return self._inspection(_files(path, encoding, self.settings.documents), limit)

    def inspect_text(self, text: str, *, limit: int = 5_000) -> Inspection:
        """Return what the model makes of each token of a text; see :meth:`inspect`.

        Args:
            text: the text itself.
            limit: how many tokens to read, from its beginning; at least 1.

        Raises:
            UsageError: the limit is below 1.
        """
        check_argument("text", text, str)
        return self._inspection(iter([iter([text])]), limit)

    def _inspection(self, files: Iterator[Iterator[str]], limit: int) -> Inspection:
        check_argument("limit", limit, int, minimum=1)
        documents = self._documents
        inspector = Inspector(
            self.network,
            self.vocabulary,
            self.tokenizer,
            self._start,
            None if documents is None else documents.ends,
            right_context_of(self.settings.sequence_length),
        )
        tokens = itertools.islice(tokens_of_documents(files, self.tokenizer, self.settings.documents), limit)
        return inspector.read([token for token, _ in tokens])

    def _surprisals(
        self, files: Iterator[Iterator[str]], per: str, name: str, rules: ReadingRules, bar: Bar
    ) -> Iterator[LineSurprisal | TokenSurprisal]:
        tokens = tokens_of_documents(files, self.tokenizer, self.settings.documents)
        surprisals = (
            adapted_surprisals(self._losses_by(rules), self.vocabulary, tokens, self._start)
            if rules
            else token_surprisals(self.network, self.vocabulary, tokens, self._start)
        )
        warned = with_unknown_warning(_noted(surprisals, bar), name)
        return warned if per == "token" else line_surprisals(warned, self.tokenizer)

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


def _files(path: Path, encoding: str, documents: str, bar: Bar | None = None) -> Iterator[Iterator[str]]:
    with open_texts(path, folders=True) as opened:
        if bar is not None:
            bar.total = size_of_texts(opened)
        for file in opened:
            blocks = read_blocks(file, encoding)
            yield blocks if documents == NO_DOCUMENTS else with_line_end(blocks)
