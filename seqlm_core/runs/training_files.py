"""The files of a training, which hold texts or examples, and those of them that the run keeps."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError, SeqlmError, TextError, UsageError
from seqlm_core.reading.folders import files_in
from seqlm_core.reading.sources import (
    STANDARD_INPUT_FILE,
    StandardInput,
    Texts,
    default_text,
    open_groups,
    path_list,
    text_name,
)
from seqlm_core.reading.text import Fingerprint, TextFile, check_readable
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.storage.files import open_regular


@dataclasses.dataclass(frozen=True)
class TrainingFiles:
    """The files of texts or examples of a training.

    Attributes:
        training: the files to train on, in the order in which they are read.
        validation: the files to validate on; empty if the validation part is taken from the training text.
        kept: the files that the run keeps, by their names in the run, since they came from memory or standard input.
        came_from_standard_input: whether one of the files came from standard input and so cannot be read again.
        name: a short name of the texts or examples, for the name of the run.
        read_from: what examples in memory were read from, for the run's record; None if that is not known.
    """

    training: tuple[TextFile, ...]
    validation: tuple[TextFile, ...] = ()
    kept: Mapping[str, TextFile] = dataclasses.field(default_factory=dict)
    came_from_standard_input: bool = False
    name: str = ""
    read_from: Mapping[str, Any] | None = None

    def keep(self, directory: RunDirectory) -> TrainingFiles:
        """Move the files to be kept into the run, and return the files with their new paths.

        Raises:
            SeqlmError: a file cannot be written, for instance since the disk is full.
        """
        moved = {}
        for name, file in self.kept.items():
            path = directory.path / name
            moved[file] = TextFile(path, file.fingerprint)
            try:
                shutil.move(str(file), str(path))
            except OSError as error:  # the error itself may name the source of the move
                raise SeqlmError(f"{path} cannot be written: {error.strerror}") from error
        return dataclasses.replace(
            self,
            training=tuple(moved.get(file, file) for file in self.training),
            validation=tuple(moved.get(file, file) for file in self.validation),
            kept={name: moved[file] for name, file in self.kept.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return path, size and digest of each file as it was read. Paths of kept files are relative to the run."""

        def describe(file: TextFile) -> dict[str, Any]:
            where = file.path.name if file in self.kept.values() else str(file.path.resolve())
            described = {"path": where, "bytes": file.fingerprint.size, "digest": file.fingerprint.digest}
            return described if file.folder is None else {**described, "folder": str(file.folder.resolve())}

        return {
            "training": [describe(file) for file in self.training],
            "validation": [describe(file) for file in self.validation],
        }

    @classmethod
    def of_run(cls, directory: RunDirectory, recorded: dict[str, Any]) -> TrainingFiles:
        """Return the files that a run recorded. Whether one has changed is found out only when it is read.

        Raises:
            RunError: a file is missing, or was added to a folder.
        """

        def find(text: dict[str, Any]) -> TextFile:
            path = Path(text["path"])
            if not path.is_absolute():
                kept = {file.name: file for file in directory.kept_files}
                if text["path"] not in kept:
                    raise RunError(f"{directory.config} is damaged: a run keeps no text {text['path']!r}")
                path = kept[text["path"]]
                open_regular(path).close()
            try:
                check_readable(path)
            except TextError as error:
                raise RunError(f"the run cannot go on without its text: {error}") from error
            folder = Path(text["folder"]) if "folder" in text else None
            return TextFile(path, Fingerprint(text["bytes"], text["digest"]), folder)

        training, validation = (tuple(map(find, recorded[part])) for part in ("training", "validation"))
        _check_nothing_added(training + validation)
        return cls(training, validation)


def _check_nothing_added(files: Sequence[TextFile]) -> None:
    """Raise :class:`RunError` if a folder has a file that it did not have when the run began."""
    recorded = {file.path for file in files}
    for folder in dict.fromkeys(file.folder for file in files if file.folder is not None):
        for path in files_in(folder):
            if path.resolve() not in recorded:
                raise RunError(f"{path} was added to {folder} since the run began, so the run cannot go on")


@contextmanager
def open_training_files(texts: Texts, validation: Texts = None) -> Iterator[TrainingFiles]:
    """Give the files of a training. A file made of standard input is removed at the end, unless a run keeps it.

    Args:
        texts: the texts to train on; None means the default text.
        validation: the texts to validate on; None means a part of the training text.

    Raises:
        TextError: a file is missing, empty, or cannot be read.
        UsageError: standard input is named more than once.
    """
    names = path_list(default_text() if texts is None else texts)
    if not names:
        raise UsageError("the list of texts is empty")
    validation_names = path_list(validation)
    with open_groups(names, validation_names, folders=True) as (training, held_out):
        from_standard_input = [file for file in training + held_out if isinstance(file, StandardInput)]
        yield TrainingFiles(
            training,
            held_out,
            kept={STANDARD_INPUT_FILE: from_standard_input[0]} if from_standard_input else {},
            came_from_standard_input=bool(from_standard_input),
            name=text_name(names[0]),
        )
