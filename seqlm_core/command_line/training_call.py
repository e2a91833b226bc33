"""What a training was called with, as far as its run records it: files, options and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seqlm_core.command_line.plugin_files import plugin_files_of
from seqlm_core.errors import UsageError
from seqlm_core.runs.config import LANGUAGE_MODEL, code_of_user, recorded_settings
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.settings.dropout_rates import SHARES, with_all_rates
from seqlm_core.settings.fields import names_of
from seqlm_core.settings.settings import SequenceSettings
from seqlm_core.settings.size_of_text import chosen_for
from seqlm_core.storage.schema import TEXT, WHOLE, check

LANGUAGE_COMMAND, TAGGER_COMMAND = ("train",), ("tag", "train")

READ_FROM = {
    "files": [TEXT, ...],
    "validation?": [TEXT],
    "token_column": WHOLE,
    "label_column": WHOLE,
    "columns": [WHOLE],
    "encoding": TEXT,
}
"""Description of what ``seqlm tag train`` has a run record of the column files that it read."""

PARAMETERS_OF_FILES = ("validation", "token_column", "label_column", "columns", "encoding")

CHOSEN_BY_SIZE = ("epochs", "batch_size", "dropout", "weight_decay", "validate_every")


@dataclasses.dataclass(frozen=True)
class TrainingCall:
    """What a training was called with, as far as its run records it.

    Attributes:
        command: the words of the command, such as ``("tag", "train")``.
        files: the files that were trained on; None where the run does not say.
        options: the values of the options that are no settings, by the names of the command's parameters.
        settings: the settings; those that were chosen have the chosen values.
        config: the configuration of the run.
    """

    command: tuple[str, ...]
    files: list[str] | None
    options: dict[str, Any]
    settings: Any
    config: Mapping[str, Any]

    @classmethod
    def of_run(cls, path: Path) -> TrainingCall:
        """Return what the training of a run was called with.

        Raises:
            RunError: the run's configuration cannot be read.
            UsageError: no command trains models of this kind, or the model was imported.
        """
        directory = RunDirectory(path)
        config = directory.read_config()
        if "imported_from" in config:
            raise UsageError(f"{path} was imported from {config['imported_from']}, and no command trained it")
        settings = recorded_settings(config, directory.config)
        init_from = config.get("init_from")
        options: dict[str, Any] = {"plugin_files": plugin_files_of(config["plugins"]), "init_from": init_from}
        if config["task"] == LANGUAGE_MODEL:
            files = _texts(directory, config["texts"]["training"])
            options["validation"] = _texts(directory, config["texts"]["validation"])
            return cls(LANGUAGE_COMMAND, files, options, _with_embeddings(settings, config), config)
        kinds = config["architecture"].get("inputs"), config["architecture"].get("outputs")
        if kinds != ("tokens", "labels"):
            raise UsageError(f"{path} maps {kinds[0]} to {kinds[1]}, and only Python trains such models")
        options["language_model"] = config.get("language_model", {}).get("path")
        if init_from is None:  # else the vectors are those of that run
            options["vectors"] = config.get("vectors", {}).get("source")
        read_from = dict(config.get("read_from") or {})
        try:
            check(read_from, READ_FROM)
        except ValueError:  # of an earlier version, or made in Python
            return cls(TAGGER_COMMAND, None, options, _with_embeddings(settings, config), config)
        files = read_from.pop("files")
        options.update({name: read_from[name] for name in PARAMETERS_OF_FILES if name in read_from})
        return cls(TAGGER_COMMAND, files, options, _with_embeddings(settings, config), config)

    @property
    def own_code(self) -> list[str]:
        """What the user gave in Python, which no command can give again; see :func:`code_of_user`."""
        return code_of_user(self.config, self.settings)

    def following_rates(self) -> set[str]:
        """Return the names of the rates of dropout that follow from ``dropout`` if they are left open."""
        rates = SHARES[self.settings.dropout_masks]
        derived = with_all_rates(self.settings.replace(**dict.fromkeys(rates)))
        return {name for name in rates if getattr(self.settings, name) == getattr(derived, name)}

    def following_layers(self) -> dict[str, str]:
        """Return ``layers`` with the name of the setting that it follows from if it is left open, and if it does so."""
        of_sizes = self.settings.layers == 1 or isinstance(self.settings.hidden_size, tuple)
        return {"layers": "hidden-size"} if of_sizes else {}

    def open_settings(self) -> set[str]:
        """Return the names of settings that may be left open, since the same values would be chosen again."""
        import seqlm_core as seqlm

        settings, config = self.settings, self.config
        defaults = {field.name: field.default for field in dataclasses.fields(settings)}
        found = {name for name, default in defaults.items() if getattr(settings, name) == default}
        found |= self.following_rates() | {name for name in defaults if getattr(settings, name) is None}
        found |= self.following_layers().keys()
        if config["settings"].get("embedding_size") is None:
            found.add("embedding_size")
        if self.command == TAGGER_COMMAND:
            defaults = vars(seqlm.SequenceModel("tokens", "labels").settings)
            found |= {name for name, value in defaults.items() if getattr(settings, name) == value}
        else:
            found |= _chosen_by_size(settings, config)
        if self.options["init_from"] is not None:
            found |= set(names_of(type(settings), "shapes_model"))
        return found


def _texts(directory: RunDirectory, recorded: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths of texts as they can be named again: a folder for its files."""
    named: list[str] = []
    of_folder: set[str] = set()  # the files of the last folder so far
    for text in recorded:
        path = str(directory.path.resolve() / text["path"])  # the path of a text that the run keeps is relative
        folder = text.get("folder")
        if folder is None:
            named.append(path)
            of_folder = set()
        elif named[-1:] != [folder] or path in of_folder:
            named.append(folder)
            of_folder = {path}
        else:
            of_folder.add(path)
    return named


def _with_embeddings(settings: Any, config: Mapping[str, Any]) -> Any:
    """Return the settings with the size of the embeddings that was chosen, unless it must not be given."""
    size = config["architecture"].get("embedding_size")
    is_open = settings.embedding_size is None and not getattr(settings, "tune_vectors", False)
    return settings.replace(embedding_size=size) if is_open and isinstance(size, int) else settings


def _chosen_by_size(settings: Any, config: Mapping[str, Any]) -> set[str]:
    entries = config["architecture"].get("vocabulary_size")
    if type(entries) is not int or isinstance(settings, SequenceSettings) or settings.learning_rate is None:
        return set()
    again = {
        name: chosen_for(settings.replace(**{name: None}), max(1, config["training_tokens"]), entries).get(name)
        for name in CHOSEN_BY_SIZE
    }
    return {name for name, value in again.items() if getattr(settings, name) == value}
