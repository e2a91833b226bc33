"""Cuts texts into tokens once: what is made of them is kept for later trainings."""

from __future__ import annotations

import codecs
import dataclasses
import itertools
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlm_core.plugins.guarded_tokenizer import learnt_as_json, origin_of
from seqlm_core.plugins.specs import Tokenizer, TrainableTokenizer
from seqlm_core.reading.cutting_processes import cutting_processes
from seqlm_core.reading.numbered_files import read_numbered, write_numbered
from seqlm_core.reading.numbering import Cutter, NumberedText, Numbers, number_tokens
from seqlm_core.reading.parts import both_parts, part, validation_start, whole
from seqlm_core.reading.progress import reading_progress
from seqlm_core.reading.survey import surveyed_length
from seqlm_core.reading.text import TextFile, check_readable
from seqlm_core.reading.text_cache import FOLDER_VARIABLE, text_cache
from seqlm_core.settings.settings import NO_DOCUMENTS
from seqlm_core.storage.cache import Cache, CacheEntry
from seqlm_core.storage.files import json_digest
from seqlm_core.storage.temporary import readable_file_errors

logger = logging.getLogger("seqlm")

FORMAT = 1
"""Is counted up when texts are prepared in another way, so that what was kept is not used any more."""

SMALLEST_KEPT = 1 << 20
"""Texts of fewer bytes are prepared in a moment, and not kept."""

TRAINING, HELD_OUT = "training", "held-out"
"""The parts of a text, by the names of their files."""


@dataclasses.dataclass(frozen=True)
class PreparedText:
    """A text whose tokens are numbered.

    Attributes:
        tokens: the tokens of the numbers from 1 on.
        training: the text, or the part of it to train on.
        held_out: the part of it to validate on; None if there is no such part.
    """

    tokens: list[str]
    training: NumberedText
    held_out: NumberedText | None = None


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How a text is cut into tokens and parts.

    Attributes:
        files: the files of the text, which are read one after the other.
        tokenizer: cuts it.
        learns: whether the tokenizer has to learn from the training part, if it is one that learns.
        encoding: the encoding of all files.
        documents: the setting of that name.
        validation_fraction: the share of the characters, at the end, that is the validation part.
        validation_limit: the most characters of the validation part; 0 sets no limit.
        show_progress: whether a bar shows how far it is.
    """

    files: Sequence[TextFile]
    tokenizer: Tokenizer
    learns: bool = False
    encoding: str = "utf-8"
    documents: str = NO_DOCUMENTS
    validation_fraction: float = 0.0
    validation_limit: int = 0
    show_progress: bool = False

    def text(self) -> PreparedText:
        """Return the text, as it was prepared earlier or as it is prepared now.

        Raises:
            TextError: a file cannot be read, or changed while it was read.
        """
        size = sum(check_readable(file).stat().st_size for file in self.files)
        found = text_cache()
        is_kept = size >= SMALLEST_KEPT and found.limit > 0 and origin_of(self.tokenizer) is not None
        cache = found if is_kept else None
        lengths = self._lengths(cache)
        described = {} if cache is None else self._description()
        self._learn(lengths, cache, json_digest(described))
        learnt = None if cache is None else learnt_as_json(self.tokenizer)
        if cache is not None and learnt is not None:
            try:
                return self._kept(cache, json_digest({**described, "learnt": learnt}), lengths)
            except OSError as error:
                logger.warning(
                    "prepared texts cannot be kept in %s: %s; this one is prepared for this time alone (%s names "
                    "another folder)",
                    cache.folder,
                    error.strerror or error,
                    FOLDER_VARIABLE,
                )
        with readable_file_errors():
            return self._numbered(lengths, None)

    def _kept(self, cache: Cache, key: str, lengths: list[int]) -> PreparedText:
        def make(folder: Path) -> dict[str, Any]:
            prepared = self._numbered(lengths, folder)
            return {
                "texts": [str(file.path.resolve()) for file in self.files],
                "tokenizer": getattr(origin_of(self.tokenizer), "name", ""),
                **write_numbered(folder, prepared.tokens, _parts_of(prepared)),
            }

        waiting = "the same text is being prepared by another process, which is waited for"
        entry = cache.find_or_make(key, make, waiting)
        try:
            prepared = _read(entry)
        except ValueError as error:
            logger.warning("%s is damaged, and made again: %s", entry.path, error)
            cache.remove(key)
            prepared = _read(cache.find_or_make(key, make, waiting))
        if entry.size > cache.limit:  # what is mapped stays readable
            cache.remove(key)
        return prepared

    def _description(self) -> dict[str, Any]:
        """Return all that the numbers depend on but what the tokenizer has learnt."""
        origin = origin_of(self.tokenizer)
        return {
            "format": FORMAT,
            "python": list(sys.version_info[:2]),  # and so the version of Unicode
            "files": [[file.fingerprint.size, file.fingerprint.digest] for file in self.files],
            "encoding": codecs.lookup(self.encoding).name,
            "documents": self.documents,
            "validation_fraction": self.validation_fraction,
            "validation_limit": self.validation_limit if self.validation_fraction else 0,
            "tokenizer": {} if origin is None else origin.fingerprint(),
        }

    def _lengths(self, cache: Cache | None) -> list[int]:
        """Return the length of each file in characters; none if nothing depends on them."""
        if cache is None and not self.validation_fraction:
            return []
        with reading_progress(self.files, "reading", self.show_progress):
            return [surveyed_length(file, self.encoding, cache) for file in self.files]

    def _cut(self, lengths: list[int]) -> int:
        """Return the character with which the validation part begins."""
        # In characters, so that every tokenizer trains and validates on the same text.
        end = sum(lengths)
        limit, fraction = self.validation_limit, self.validation_fraction
        wanted = max(int(end * (1 - fraction)), end - limit if limit else 0)
        return validation_start(self.files, lengths, self.encoding, wanted, self.documents)

    def _learn(self, lengths: list[int], cache: Cache | None, key: str) -> None:
        """Let the tokenizer learn from the training part, or give it what it has learnt from it earlier.

        Args:
            lengths: of each file.
            cache: keeps what was learnt; None if it is not kept.
            key: the key of it there.
        """
        if not self.learns or not isinstance(self.tokenizer, TrainableTokenizer):
            return
        known = None if cache is None else cache.fact(key)
        if known is not None:
            self.tokenizer.restore(known["state"])
            return
        files = whole(self.files, self.encoding)
        if self.validation_fraction:
            files = part(self.files, lengths, self.encoding, 0, self._cut(lengths))
        with reading_progress(self.files, "learning to cut", self.show_progress):
            self.tokenizer.train(itertools.chain.from_iterable(files))
        learnt = None if cache is None else learnt_as_json(self.tokenizer)
        if cache is not None and learnt is not None:
            cache.keep_fact(key, {"state": json.loads(learnt)})

    def _numbered(self, lengths: list[int], folder: Path | None) -> PreparedText:
        """Cut the text, and number its tokens."""
        numbers = Numbers()
        with (
            reading_progress(self.files, "preparing", self.show_progress),
            cutting_processes(
                self.tokenizer, self.documents, sum(file.path.stat().st_size for file in self.files)
            ) as cutter,
        ):
            training, held_out = self._numbered_parts(lengths, numbers, folder, cutter)
        for file in self.files:
            file.check_unchanged()
        return PreparedText(list(numbers), training, held_out)

    def _numbered_parts(
        self, lengths: list[int], numbers: Numbers, folder: Path | None, cutter: Cutter | None
    ) -> tuple[NumberedText, NumberedText | None]:
        def number(files: Any, name: str) -> NumberedText:
            path = None if folder is None else folder / f"{name}.numbers"
            return number_tokens(files, self.tokenizer, numbers, self.documents, path=path, cutter=cutter)

        if not self.validation_fraction:
            return number(whole(self.files, self.encoding, self.documents), TRAINING), None
        before, after = both_parts(self.files, lengths, self.encoding, self._cut(lengths), self.documents)
        return number(before, TRAINING), number(after, HELD_OUT)


def _parts_of(prepared: PreparedText) -> dict[str, NumberedText]:
    parts = {TRAINING: prepared.training}
    return parts if prepared.held_out is None else {**parts, HELD_OUT: prepared.held_out}


def _read(entry: CacheEntry) -> PreparedText:
    tokens, parts = read_numbered(entry.path, entry.description)
    return PreparedText(tokens, parts[TRAINING], parts.get(HELD_OUT))
