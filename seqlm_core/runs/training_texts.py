"""Which texts a training reads: named files, standard input, or the sample text; and whether they changed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Union

from seqlm_core.errors import RunError, SeqlmError, TextError, UsageError
from seqlm_core.reading.text import Fingerprint, PathLike, TextFile, check_readable
from seqlm_core.runs.directory import STANDARD_INPUT_FILE, RunDirectory
from seqlm_core.settings.arguments import checked_path
from seqlm_core.storage.files import open_regular
from seqlm_core.storage.temporary import readable_file_errors

Texts = Union[PathLike, Sequence[PathLike], None]

STANDARD_INPUT = "-"
DEFAULT_TEXT = Path("data/input.txt")


@dataclasses.dataclass(frozen=True)
class TrainingTexts:
    """The files of a training.

    Attributes:
        training: read one after the other.
        validation: likewise; empty where the validation part comes from the training text.
        kept: those among them that the run keeps, by their names in the run: what was given in memory or on standard
            input.
        cannot_be_had_again: whether something was given on standard input.
        name: a short name for what is trained on.
    """

    training: tuple[TextFile, ...]
    validation: tuple[TextFile, ...] = ()
    kept: Mapping[str, TextFile] = dataclasses.field(default_factory=dict)
    cannot_be_had_again: bool = False
    name: str = ""

    def keep(self, directory: RunDirectory) -> TrainingTexts:
        """Move what is to be kept into the run, and return the texts with their new places.

        Raises:
            SeqlmError: there is no room, say.
        """
        moved = {}
        for name, file in self.kept.items():
            path = directory.path / name
            moved[file] = TextFile(path, file.fingerprint)
            try:
                shutil.move(str(file), str(path))
            except OSError as error:  # which may name the source of the move
                raise SeqlmError(f"{path} cannot be written: {error.strerror}") from error
        return dataclasses.replace(
            self,
            training=tuple(moved.get(file, file) for file in self.training),
            validation=tuple(moved.get(file, file) for file in self.validation),
            kept={name: moved[file] for name, file in self.kept.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return path, size and digest of each file as it was read; paths of kept ones are relative to the run."""

        def describe(file: TextFile) -> dict[str, Any]:
            where = file.path.name if file in self.kept.values() else str(file.path.resolve())
            return {"path": where, "bytes": file.fingerprint.size, "digest": file.fingerprint.digest}

        return {
            "training": [describe(file) for file in self.training],
            "validation": [describe(file) for file in self.validation],
        }

    @classmethod
    def of_run(cls, directory: RunDirectory, recorded: dict[str, Any]) -> TrainingTexts:
        """Return the texts that a run recorded; one that has changed is refused by the pass that reads it.

        Raises:
            RunError: one is not there any more.
        """

        def find(text: dict[str, Any]) -> TextFile:
            path = Path(text["path"])
            if not path.is_absolute():
                kept = {file.name: file for file in directory.kept_texts}
                if text["path"] not in kept:
                    raise RunError(f"{directory.config} is damaged: a run keeps no text {text['path']!r}")
                path = kept[text["path"]]
                open_regular(path).close()
            try:
                check_readable(path)
            except TextError as error:
                raise RunError(f"the run cannot go on without its text: {error}") from error
            return TextFile(path, Fingerprint(text["bytes"], text["digest"]))

        training = tuple(find(text) for text in recorded["training"])
        return cls(training, tuple(find(text) for text in recorded["validation"]))


@contextmanager
def open_texts(texts: Texts, validation: Texts = None) -> Iterator[TrainingTexts]:
    """Give the files to read; what comes from standard input is spooled, and removed at the end if not kept.

    Raises:
        TextError: a file is missing, empty, or cannot be read.
        UsageError: standard input is named more than once.
    """
    names: list[PathLike] = [default_text()] if texts is None else _as_list(texts)
    if not names:
        raise UsageError("the list of texts is empty")
    validation_names = _as_list(validation)
    named = check_texts([*names, *validation_names])
    with tempfile.TemporaryDirectory(prefix="seqlm-") if STANDARD_INPUT in named else nullcontext() as folder:
        spooled = None if folder is None else TextFile(_spool_standard_input(Path(folder)))

        def files(given: list[PathLike]) -> tuple[TextFile, ...]:
            return tuple(spooled if spooled and os.fspath(n) == STANDARD_INPUT else TextFile(n) for n in given)

        yield TrainingTexts(
            files(names),
            files(validation_names),
            kept={} if spooled is None else {STANDARD_INPUT_FILE: spooled},
            cannot_be_had_again=spooled is not None,
            name="standard-input" if os.fspath(names[0]) == STANDARD_INPUT else Path(names[0]).stem,
        )


def check_texts(texts: Texts) -> list[str]:
    """Return the names of texts after a look at each: it can be read, and standard input is named once at most."""
    named = [os.fspath(name) for name in _as_list(texts)]
    if named.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) can be read only once")
    for name in named:
        if name != STANDARD_INPUT:
            check_readable(name)
    return named


def default_text() -> Path:
    """Return ``data/input.txt`` of the current folder, else the sample text that comes with the package.

    Raises:
        TextError: neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for path in (DEFAULT_TEXT, package / DEFAULT_TEXT, package.parent / DEFAULT_TEXT):
        if path.is_file():
            return path
    raise TextError(f"no text is named, and there is no {DEFAULT_TEXT}")


def _as_list(texts: Texts) -> list[PathLike]:
    if texts is None:
        return []
    if isinstance(texts, (str, os.PathLike)):
        return [texts]
    if not isinstance(texts, Iterable):
        raise UsageError(f"a text is given by the path of its file, or by a list of paths, not by {texts!r}")
    paths = list(texts)
    for path in paths:
        checked_path("path of a text", path)
    return paths


def _spool_standard_input(folder: Path) -> Path:
    if sys.stdin is None:
        raise TextError("standard input is closed")
    path = folder / STANDARD_INPUT_FILE  # messages name it
    with readable_file_errors(), path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        if not file.tell():
            raise TextError("standard input is empty")
    return path
