"""The directory that a training leaves on disk: which files it has, how it is made, found and replaced."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError, UsageError
from seqlm_core.files import json_digest, read_json, write_json
from seqlm_core.reading.text import PathLike
from seqlm_core.reading.vocabulary import Vocabulary

CONFIG_FORMAT = 1
DEFAULT_PARENT = Path("data/models")


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The files of one run.

    Attributes:
        path: the directory.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Settings, texts, versions and sizes, as JSON."""
        return self.path / "config.json"

    @property
    def vocabulary(self) -> Path:
        """Tokens and counts, as JSON."""
        return self.path / "vocabulary.json"

    @property
    def best(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Weights and everything else that resuming needs."""
        return self.path / "last.safetensors"

    @property
    def history(self) -> Path:
        """Figures of the training, one JSON object a line."""
        return self.path / "history.jsonl"

    @property
    def picture(self) -> Path:
        """The loss over the steps."""
        return self.path / "loss.png"

    @property
    def standard_input(self) -> Path:
        """The text of the training, if it came from standard input."""
        return self.path / "standard-input.txt"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that a run can have."""
        return (
            self.config,
            self.vocabulary,
            self.best,
            self.last,
            self.history,
            self.picture,
            self.standard_input,
        )

    @functools.cached_property
    def vocabulary_digest(self) -> str:
        """Digest of the vocabulary, which checkpoints name so that no other one is taken for it."""
        return json_digest(self.read_vocabulary().to_json())

    def write_config(self, config: dict[str, Any]) -> None:
        """Write ``config.json``."""
        write_json(self.config, {"format": CONFIG_FORMAT, **config})

    def read_config(self) -> dict[str, Any]:
        """Return what is in ``config.json``.

        Raises:
            RunError: this is no run directory, or the file is damaged or of another version.
        """
        if not self.config.is_file():
            there = "has no config.json" if self.path.is_dir() else "does not exist"
            raise RunError(f"{self.path} is not a run directory: it {there}")
        config = read_json(self.config)
        if config.get("format") != CONFIG_FORMAT:
            raise RunError(
                f"{self.config} has format {config.get('format')!r}, and this version of seqlm reads {CONFIG_FORMAT}"
            )
        return config

    def write_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Write ``vocabulary.json``."""
        write_json(self.vocabulary, vocabulary.to_json())

    def read_vocabulary(self) -> Vocabulary:
        """Return the vocabulary; raises :class:`RunError` where it is missing or damaged."""
        return Vocabulary.from_json(read_json(self.vocabulary))


def check_destination(out: PathLike | None, overwrite: bool) -> None:
    """Find out, before a long text is read, whether a run may be written to ``out``.

    Raises:
        UsageError: it holds another run, or other files.
    """
    if out is None:
        return
    directory = RunDirectory(Path(out))
    if directory.path.exists() and not directory.path.is_dir():
        raise UsageError(f"--out {out} is a file, not a directory")
    if directory.config.exists():
        if not overwrite:
            raise UsageError(
                f"--out {out} holds another run; go on with it by --resume {out}, or replace it with --overwrite"
            )
    elif directory.path.is_dir() and any(directory.path.iterdir()):
        raise UsageError(f"--out {out} holds other files and no run; name a new or an empty directory")


def create_run_directory(out: PathLike | None, name: str, overwrite: bool) -> RunDirectory:
    """Make the directory of a new run, empty of any run's files.

    Args:
        out: where; None makes ``data/models/NAME-N`` with the next free number.
        name: for the directory's name, made of text and cell.
        overwrite: remove the files of the run that is there.

    Raises:
        UsageError: it cannot be made, or holds something.
    """
    check_destination(out, overwrite)
    try:
        if out is None:
            return RunDirectory(_next_free(DEFAULT_PARENT, name))
        directory = RunDirectory(Path(out))
        directory.path.mkdir(parents=True, exist_ok=True)
        for path in directory.files:
            path.unlink(missing_ok=True)
        # Only writing shows whether it may be written to.
        directory.history.touch()
        return directory
    except OSError as error:
        raise UsageError(f"--out {out or DEFAULT_PARENT} cannot be written to: {error.strerror}") from error


def run_name(text: str, cell: str) -> str:
    """Return a name for a run on a text of that name with that cell."""
    stem = re.sub(r"[^\w.-]+", "-", text).strip("-.") or "text"
    return f"{stem}-{cell}"


def _next_free(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / f"{name}-{number}"
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1
