"""The run of a language model: making text, evaluation and scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from seqlm_core.display.bar import Bar
from seqlm_core.errors import UsageError
from seqlm_core.evaluation.inspection import Inspection, Inspector, right_context_of
from seqlm_core.evaluation.language import (
    LanguageEvaluation,
    LanguageEvaluator,
    check_predictable,
    evaluation_of,
)
from seqlm_core.reading.corpus import read_text
from seqlm_core.reading.documents import tokens_of_documents
from seqlm_core.reading.sources import check_texts, open_texts
from seqlm_core.reading.tokenized_text import warn_of_unknown_tokens
from seqlm_core.runs.history import SAMPLE
from seqlm_core.runs.networks import window_network
from seqlm_core.runs.scoring_run import ScoringRun, files_of
from seqlm_core.settings.arguments import PathLike, check_argument, check_encoding, checked_path
from seqlm_core.settings.fields import chosen


class LanguageRun(ScoringRun):
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
        return self._inspection(files_of(path, encoding, self.settings.documents), limit)

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
