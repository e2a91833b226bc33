"""The directory that a training leaves on disk: which files it has, how it is made, found and replaced."""

from __future__ import annotations

import dataclasses
import functools
import os
import reprlib
import secrets
from pathlib import Path
from typing import Any, Callable, TypeVar

import numpy as np

from seqlm_core.errors import PluginError, RunError
from seqlm_core.plugins.foreign import describe
from seqlm_core.plugins.guarded_tokenizer import tokenizer_title
from seqlm_core.plugins.specs import Tokenizer, TrainableTokenizer
from seqlm_core.reading.sources import STANDARD_INPUT_FILE
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.runs import replacement
from seqlm_core.runs.config import CONFIG_FORMAT, LANGUAGE_MODEL, check_config
from seqlm_core.sequences.codecs import Codecs
from seqlm_core.storage.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from seqlm_core.storage.files import json_digest, read_json, write_json
from seqlm_core.storage.schema import ANYTHING, TEXT, check

T = TypeVar("T")

TRAINING_EXAMPLES_FILE = "training-examples.jsonl"
VALIDATION_EXAMPLES_FILE = "validation-examples.jsonl"

_CHECKPOINT_STATE = {"file": TEXT, "model": TEXT, "run_id?": TEXT}


@dataclasses.dataclass
class RunDirectory:
    """The files of one run.

    Attributes:
        path: the directory.
        new_id: of a run that is being begun there; None for the run that is there.
        replaces: of a new run that is not yet in the place of the old one, the directory of the old one. Then ``path``
            is a folder within it. See :mod:`seqlm_core.runs.replacement`.
        has_saved_steps: whether this process has saved the run after a step.
    """

    path: Path
    new_id: str | None = None
    replaces: Path | None = None
    has_saved_steps: bool = False

    @classmethod
    def of_new_run(cls, path: Path) -> RunDirectory:
        """Return a directory for a new run, which is given an identity."""
        return cls(path, secrets.token_hex(16))

    @property
    def place(self) -> Path:
        """The directory by which users know the run."""
        return self.replaces or self.path

    @functools.cached_property
    def run_id(self) -> str | None:
        """The run's identity, which is in all of its files, so that those of two runs are not mixed unnoticed.

        Runs of earlier versions have none, and get none.
        """
        return self.new_id or self.read_config().get("run_id")

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
    def tokenizer(self) -> Path:
        """What a language model's tokenizer has learnt, as JSON; only tokenizers that learn have it."""
        return self.path / "tokenizer.json"

    @property
    def codecs(self) -> Path:
        """What a sequence model's inputs and outputs mean, as JSON."""
        return self.path / "encoders.json"

    @property
    def kept_texts(self) -> tuple[Path, ...]:
        """What the training was given on standard input or in memory, and nobody else may have."""
        names = (STANDARD_INPUT_FILE, TRAINING_EXAMPLES_FILE, VALIDATION_EXAMPLES_FILE)
        return tuple(self.path / name for name in names)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that a run can have."""
        return (
            self.config,
            self.vocabulary,
            self.tokenizer,
            self.codecs,
            self.best,
            self.last,
            self.history,
            self.picture,
            *self.kept_texts,
        )

    @property
    def names(self) -> list[str]:
        """Of those files."""
        return [path.name for path in self.files]

    @property
    def meanings(self) -> Path:
        """The file that gives a model's inputs and outputs their meaning."""
        return self.vocabulary if self.read_config()["task"] == LANGUAGE_MODEL else self.codecs

    @functools.cached_property
    def model_digest(self) -> str:
        """Digest of what gives a checkpoint's weights their meaning: vocabulary, sizes, cell and tokenizer.

        Checkpoints name it, so that the files of two runs are not mixed unnoticed.
        """
        config = self.read_config()
        roles = [role for role in sorted(config["plugins"]) if role != "optimizer"]
        plugins = [[role, config["plugins"][role]["name"], config["settings"].get(f"{role}_options")] for role in roles]
        learnt = self._read(self.tokenizer) if self.tokenizer.exists() else None
        return json_digest([self._read(self.meanings), learnt, config["architecture"], plugins])

    def save(self, path: Path, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        """Write one of the run's checkpoints; see :func:`seqlm_core.storage.checkpoint.save_checkpoint`."""
        named = self._named({**state, "file": path.name, "model": self.model_digest})
        save_checkpoint(path, arrays, named)

    def load(self, path: Path) -> Checkpoint:
        """Return arrays and state of one of the run's checkpoints.

        Raises:
            RunError: it is missing or damaged, or belongs to another run.
        """
        arrays, state = load_checkpoint(path)
        try:
            check(state, _CHECKPOINT_STATE, "its state")
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from error
        if state["file"] != path.name:
            raise RunError(f"{path} is another file of a run, {reprlib.repr(state['file'])}, under this name")
        if state.get("run_id") != self.run_id:
            raise self._foreign(path)
        if state["model"] != self.model_digest:
            raise RunError(f"{path} belongs to another run than {self.config.name} and {self.meanings.name} beside it")
        return arrays, state

    def settle(self) -> None:
        """Note that steps are saved; a new run then takes the place of the one that it replaces, which goes."""
        self.has_saved_steps = True
        if self.replaces is not None:
            replacement.decide(self.replaces)
            self.path, self.replaces = self.replaces, None
            replacement.finish(self.path, self.names)

    def owns(self, path: Path) -> bool:
        """Whether a path in the directory is a run's: a file, or what a process that died has left."""
        return path in self.files or replacement.is_left(path, self.names)

    def remove_leftovers(self) -> None:
        """Remove what processes that died have left; only for who holds the directory's lock.

        Raises:
            RunError: something cannot be removed.
        """
        replacement.remove_leftovers(self.path, self.names)

    def recover(self) -> None:
        """Finish a replacement in the middle of which a process died; see :mod:`seqlm_core.runs.replacement`."""
        replacement.recover(self.path, self.names)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write ``config.json``."""
        self._write(self.config, {"format": CONFIG_FORMAT, **config})

    def read_config(self) -> dict[str, Any]:
        """Return what is in ``config.json``.

        Raises:
            RunError: this is no run directory, or the file is damaged or of another version.
        """
        self.recover()
        if not os.path.lexists(self.config):
            there = "is a file" if self.path.exists() else "does not exist"
            there = "has no config.json" if self.path.is_dir() else there
            raise RunError(f"{self.path} is not a run directory: it {there}")
        config = read_json(self.config)
        check_config(config, self.config)
        return config

    def write_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Write ``vocabulary.json``."""
        self._write(self.vocabulary, vocabulary.to_json())

    def read_vocabulary(self) -> Vocabulary:
        """Return the vocabulary; raises :class:`RunError` where it is missing or damaged."""
        return self._made(Vocabulary.from_json, self.vocabulary)

    def write_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Write ``tokenizer.json`` if the tokenizer is one that learns.

        Raises:
            PluginError: its state is nothing that JSON can hold.
        """
        if isinstance(tokenizer, TrainableTokenizer):
            try:
                self._write(self.tokenizer, {"state": tokenizer.state()})
            except (TypeError, ValueError) as error:
                title = tokenizer_title(tokenizer)
                raise PluginError(f"the state of {title} cannot be written as JSON: {error}") from error

    def restore_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Give a tokenizer that learns what it had learnt; nothing, where it did not learn yet when the run was made.

        Raises:
            RunError: the file is missing or damaged, or the tokenizer cannot use it.
        """
        if not isinstance(tokenizer, TrainableTokenizer):
            return
        is_there = self.tokenizer.exists()
        values = self._read(self.tokenizer) if is_there else {"state": {}}
        try:
            check(values, {"state": ANYTHING}, "what it holds")
            tokenizer.restore(values["state"])
        except Exception as error:
            if not is_there:
                raise RunError(f"{self.tokenizer} is missing") from error
            title = tokenizer_title(tokenizer)
            raise RunError(f"{title} cannot use {self.tokenizer}: {describe(error)}") from error

    def write_codecs(self, codecs: Codecs) -> None:
        """Write ``encoders.json``."""
        self._write(self.codecs, codecs.to_json())

    def read_codecs(self) -> Codecs:
        """Return a sequence model's codecs; raises :class:`RunError` where they are missing or damaged."""
        return self._made(Codecs.from_json, self.codecs)

    def _made(self, make: Callable[[Any], T], path: Path) -> T:
        """Return what ``make`` makes of the values in one of the run's JSON files."""
        values = self._read(path)
        try:
            return make(values)
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from error

    def _named(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return what a file holds, with the run that it belongs to."""
        return values if self.run_id is None else {**values, "run_id": self.run_id}

    def _write(self, path: Path, values: dict[str, Any]) -> None:
        write_json(path, self._named(values))

    def _read(self, path: Path) -> dict[str, Any]:
        """Return what is in one of the run's JSON files beside ``config.json``.

        Raises:
            RunError: it is missing or damaged, or belongs to another run.
        """
        values = read_json(path)
        if values.get("run_id") != self.run_id:
            raise self._foreign(path)
        return values

    def _foreign(self, path: Path) -> RunError:
        return RunError(f"{path} belongs to another run than {self.config.name} beside it")
