"""The directory of a run: its files, and how they are read and written."""

from __future__ import annotations

import dataclasses
import functools
import os
import reprlib
import secrets
from collections.abc import Mapping
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
from seqlm_core.storage.checkpoint import Checkpoint, load_state, save_checkpoint
from seqlm_core.storage.files import json_digest, read_json, write_json
from seqlm_core.storage.schema import ANYTHING, TEXT, check

T = TypeVar("T")

TRAINING_EXAMPLES_FILE = "training-examples.jsonl"
VALIDATION_EXAMPLES_FILE = "validation-examples.jsonl"
VECTORS_FILE = "vectors.safetensors"

_CHECKPOINT_STATE = {"file": TEXT, "model": TEXT, "run_id?": TEXT}


@dataclasses.dataclass
class RunDirectory:
    """The files of one run.

    Attributes:
        path: the directory.
        new_id: the identity of a new run; None for a run that exists already.
        replaces: for a new run that has not yet replaced an old one, the directory of the old run; ``path`` is then a
            folder within it. Else None. See :mod:`seqlm_core.runs.replacement`.
        has_saved_steps: whether this process has saved the run after at least one step.
    """

    path: Path
    new_id: str | None = None
    replaces: Path | None = None
    has_saved_steps: bool = False

    @classmethod
    def of_new_run(cls, path: Path) -> RunDirectory:
        """Return a directory for a new run, which gets an identity."""
        return cls(path, secrets.token_hex(16))

    @property
    def final_path(self) -> Path:
        """The directory in which users find the run: the old run's while a new run has not yet replaced it."""
        return self.replaces or self.path

    @functools.cached_property
    def run_id(self) -> str | None:
        """The run's identity. It is in all of its files, so that mixing the files of two runs is noticed.

        Runs of earlier versions have no identity: None.
        """
        return self.new_id or self.read_config().get("run_id")

    @property
    def config(self) -> Path:
        """The file of settings, texts, versions and sizes, as JSON."""
        return self.path / "config.json"

    @property
    def vocabulary(self) -> Path:
        """The file of a language model's tokens and their counts, as JSON."""
        return self.path / "vocabulary.json"

    @property
    def best(self) -> Path:
        """The checkpoint with the weights of the best epoch."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint with the last weights and everything else that resuming needs."""
        return self.path / "last.safetensors"

    @property
    def history(self) -> Path:
        """The file of the training's figures, one JSON object in each line."""
        return self.path / "history.jsonl"

    @property
    def picture(self) -> Path:
        """The picture of the loss over the steps."""
        return self.path / "loss.png"

    @property
    def tokenizer(self) -> Path:
        """The file of what a language model's tokenizer has learnt, as JSON; only for tokenizers that learn."""
        return self.path / "tokenizer.json"

    @property
    def codecs(self) -> Path:
        """The file of a sequence model's codecs, which give its inputs and outputs their meaning, as JSON."""
        return self.path / "encoders.json"

    @property
    def kept_files(self) -> tuple[Path, ...]:
        """What a run keeps of what it was made from: texts and examples of which there may be no copy, and vectors."""
        names = (STANDARD_INPUT_FILE, TRAINING_EXAMPLES_FILE, VALIDATION_EXAMPLES_FILE, VECTORS_FILE)
        return tuple(self.path / name for name in names)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that a run can have."""
        return (
            self.config,
            self.vocabulary,
            self.tokenizer,
            self.codecs,
            self.best,
            self.last,
            self.history,
            self.picture,
            *self.kept_files,
        )

    @property
    def file_names(self) -> list[str]:
        """The names of all files that a run can have."""
        return [path.name for path in self.files]

    @property
    def vocabulary_or_codecs(self) -> Path:
        """The file that gives the model's inputs and outputs their meaning."""
        return self.vocabulary if self.read_config()["task"] == LANGUAGE_MODEL else self.codecs

    @functools.cached_property
    def model_digest(self) -> str:
        """The digest of all that gives a checkpoint's weights their meaning: vocabulary, sizes, cell and tokenizer.

        It is in each checkpoint, so that mixing the files of two runs is noticed.
        """
        config = self.read_config()
        roles = [role for role in sorted(config["plugins"]) if role != "optimizer"]
        plugins = [[role, config["plugins"][role]["name"], config["settings"].get(f"{role}_options")] for role in roles]
        learnt = self._read(self.tokenizer) if self.tokenizer.exists() else None
        return json_digest([self._read(self.vocabulary_or_codecs), learnt, config["architecture"], plugins])

    def save(self, path: Path, arrays: Mapping[str, np.ndarray], state: dict[str, Any]) -> None:
        """Write one of the run's checkpoints; see :func:`seqlm_core.storage.checkpoint.save_checkpoint`."""
        named = self._with_run_id({**state, "file": path.name, "model": self.model_digest})
        save_checkpoint(path, arrays, named)

    def load(self, path: Path) -> Checkpoint:
        """Return the arrays and the state of one of the run's checkpoints.

        Raises:
            RunError: it is missing or damaged, or belongs to another run.
        """
        arrays: dict[str, np.ndarray] = {}
        return arrays, self.load_state(path, arrays)

    def load_state(self, path: Path, arrays: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
        """Return the state of one of the run's checkpoints as :meth:`load` does, but keep its arrays only if asked."""
        state = load_state(path, arrays)
        try:
            check(state, _CHECKPOINT_STATE, "its state")
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from error
        if state["file"] != path.name:
            raise RunError(f"{path} is another file of a run, {reprlib.repr(state['file'])}, under this name")
        if state.get("run_id") != self.run_id:
            raise self._other_run_error(path)
        if state["model"] != self.model_digest:
            names = f"{self.config.name} and {self.vocabulary_or_codecs.name}"
            raise RunError(f"{path} belongs to another run than {names} beside it")
        return state

    def mark_step_saved(self) -> None:
        """Call this when the run was saved after a step. A new run then replaces the old one, which is removed."""
        self.has_saved_steps = True
        if self.replaces is not None:
            replacement.decide(self.replaces)
            self.path, self.replaces = self.replaces, None
            replacement.finish(self.path, self.file_names)

    def owns(self, path: Path) -> bool:
        """Whether a path in the directory belongs to a run: one of its files, or a leftover of a process that died."""
        return path in self.files or replacement.is_leftover(path, self.file_names)

    def remove_leftovers(self) -> None:
        """Remove what processes that died have left. The caller must hold the directory's lock.

        Raises:
            RunError: something cannot be removed.
        """
        replacement.remove_leftovers(self.path, self.file_names)

    def recover(self) -> None:
        """Finish a replacement if its process died before the end; see :mod:`seqlm_core.runs.replacement`."""
        replacement.recover(self.path, self.file_names)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write ``config.json``."""
        self._write(self.config, {"format": CONFIG_FORMAT, **config})

    def read_config(self) -> dict[str, Any]:
        """Return the values in ``config.json``.

        Raises:
            RunError: this is no run directory, or the file is damaged or has another format.
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
        return self._read_as(Vocabulary.from_json, self.vocabulary)

    def write_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Write ``tokenizer.json``, if the tokenizer learns from texts.

        Raises:
            PluginError: the tokenizer's state holds something that JSON cannot hold.
        """
        if isinstance(tokenizer, TrainableTokenizer):
            try:
                self._write(self.tokenizer, {"state": tokenizer.state()})
            except (TypeError, ValueError) as error:
                title = tokenizer_title(tokenizer)
                raise PluginError(f"the state of {title} cannot be written as JSON: {error}") from error

    def restore_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Restore what a tokenizer had learnt, if it learns from texts. Without a file, the state is an empty dict.

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
        return self._read_as(Codecs.from_json, self.codecs)

    def _read_as(self, make: Callable[[Any], T], path: Path) -> T:
        """Call ``make`` with the values in one of the run's JSON files; a :class:`ValueError` means it is damaged."""
        values = self._read(path)
        try:
            return make(values)
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from error

    def _with_run_id(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a file, with the run's identity among them."""
        return values if self.run_id is None else {**values, "run_id": self.run_id}

    def _write(self, path: Path, values: dict[str, Any]) -> None:
        write_json(path, self._with_run_id(values))

    def _read(self, path: Path) -> dict[str, Any]:
        """Return the values in one of the run's other JSON files; raises :class:`RunError` as :meth:`load` does."""
        values = read_json(path)
        if values.get("run_id") != self.run_id:
            raise self._other_run_error(path)
        return values

    def _other_run_error(self, path: Path) -> RunError:
        return RunError(f"{path} belongs to another run than {self.config.name} beside it")
