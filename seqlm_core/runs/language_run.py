"""The run of a language model: making text, evaluation and scores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm_core.errors import SettingError, UsageError
from seqlm_core.evaluation.surprisal import (
    LineSurprisal,
    TokenSurprisal,
    line_surprisals,
    token_surprisals,
    with_unknown_warning,
)
from seqlm_core.reading.corpus import read_text, warn_of_unknown_tokens
from seqlm_core.reading.sources import check_texts, open_texts
from seqlm_core.reading.text import read_blocks
from seqlm_core.runs.generating_run import GeneratingRun
from seqlm_core.settings.arguments import PathLike, check_argument, check_encoding, checked_path

if TYPE_CHECKING:
    from seqlm_core.evaluation.language import LanguageEvaluation


class LanguageRun(GeneratingRun):
    """The run of a language model.

    Args:
        path: the run directory.

    Raises:
        RunError: the directory holds no run of a language model, is damaged, or needs a plugin that is missing.
    """

    def evaluate(self, *texts: PathLike | Sequence[PathLike], encoding: str = "utf-8") -> list[LanguageEvaluation]:
        """Return the model's figures on each of the texts.

        Args:
            texts: files. A list of files is read as one text. ``-`` is standard input.
            encoding: the encoding of the files.

        Raises:
            TextError: a text cannot be read, or is too short to predict anything.
        """
        check_encoding(encoding)
        if not texts:
            raise UsageError("name at least one text to evaluate on, as in run.evaluate('other.txt')")
        for text in texts:
            if not check_texts(text):
                raise UsageError("the list of texts is empty")
        from seqlm_core.engine.mxnet import readable_failures
        from seqlm_core.evaluation.language import LanguageEvaluator

        with readable_failures():
            model = self.model
        found = []
        for text in texts:
            with open_texts(text) as opened:
                tokenized = read_text(opened, self.tokenizer, self.vocabulary, encoding)
            warn_of_unknown_tokens(tokenized)
            s = self.settings
            with readable_failures():
                found.append(LanguageEvaluator(model, tokenized, s.sequence_length, s.batch_size).evaluate())
        return found

    def score(
        self, file: PathLike, *, per: str = "line", encoding: str = "utf-8"
    ) -> Iterator[LineSurprisal | TokenSurprisal]:
        """Return the surprisal of each line, or of each token, of a file, reading from left to right.

        Args:
            file: the file; ``-`` is standard input.
            per: ``line`` or ``token``.
            encoding: the encoding of the file.

        Raises:
            UsageError: ``per`` is something else.
            TextError: the file cannot be read.
        """
        _check_per(per)
        path = checked_path("file", file)
        check_encoding(encoding)
        check_texts(path)
        return self._surprisals(_blocks_of(path, encoding), per, os.fspath(path))

    def score_text(self, text: str, *, per: str = "line") -> Iterator[LineSurprisal | TokenSurprisal]:
        """Return the surprisal of each line, or of each token, of a text; see :meth:`score`.

        Args:
            text: the text itself.
            per: ``line`` or ``token``.

        Raises:
            UsageError: ``per`` is something else.
        """
        _check_per(per)
        check_argument("text", text, str)
        return self._surprisals(iter([text]), per, "the text")

    def _surprisals(self, blocks: Iterator[str], per: str, name: str) -> Iterator[LineSurprisal | TokenSurprisal]:
        surprisals = token_surprisals(self.network, self.vocabulary, self.tokenizer, blocks)
        warned = with_unknown_warning(surprisals, name)
        return warned if per == "token" else line_surprisals(warned, self.tokenizer)


def _check_per(per: str) -> None:
    if per not in ("line", "token"):
        raise SettingError("per", f"must be line or token, not {per!r}")


def _blocks_of(path: Path, encoding: str) -> Iterator[str]:
    with open_texts(path) as opened:
        for file in opened:
            yield from read_blocks(file, encoding)
