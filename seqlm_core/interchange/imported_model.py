"""What the description of a model that is imported says: its settings, plugins, vocabulary or codecs, and sizes."""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError, UsageError
from seqlm_core.interchange.description import FORMAT, formula_of
from seqlm_core.interchange.folders import followed
from seqlm_core.model.architecture import LanguageArchitecture, SequenceArchitecture
from seqlm_core.model.parameters import language_shapes, sequence_shapes
from seqlm_core.plugins.components import Components
from seqlm_core.plugins.foreign import describe
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.specs import Tokenizer, TrainableTokenizer
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.runs.config import LANGUAGE_MODEL, SEQUENCE_MODEL
from seqlm_core.sequences.codecs import Codecs, ValueCodec
from seqlm_core.settings.fields import make_settings
from seqlm_core.settings.settings import LanguageSettings, SequenceSettings
from seqlm_core.settings.size_of_text import chosen_for
from seqlm_core.storage.files import read_file
from seqlm_core.storage.schema import COUNT, OBJECT, TEXT, check, one_of

_PLUGIN = {"name": TEXT, "distribution": TEXT, "version": TEXT}
_DESCRIPTION = {
    "format?": one_of(FORMAT),
    "task": one_of(LANGUAGE_MODEL, SEQUENCE_MODEL),
    "settings": OBJECT,
    "plugins?": {...: _PLUGIN},
}
_OF_TASK: dict[str, dict[str, Any]] = {
    LANGUAGE_MODEL: {"vocabulary": {"tokens": [TEXT, ...], "counts?": [COUNT, ...]}, "tokenizer?": {"state?": OBJECT}},
    SEQUENCE_MODEL: {
        "encoders": OBJECT,
        "architecture": {"outputs": one_of("labels", "label", "values")},
        "vectors?": {"source": TEXT, "digest": TEXT},
        "language_model?": {"path": TEXT, "digest": TEXT},
    },
}


@dataclasses.dataclass(frozen=True)
class ImportedModel:
    """What a description says.

    Attributes:
        task: the kind of the model.
        settings: its settings.
        components: its plugins, and the optimizer that a training would have.
        architecture: its sizes.
        shapes: the shapes of its parameters, by their names in a checkpoint.
        vocabulary: of a language model its tokens; else None.
        tokenizer: of a language model what cuts texts; else None.
        codecs: of a sequence model what gives its inputs and outputs their meaning; else None.
        read: of a sequence model the sources of its vectors, as a run records them.
    """

    task: str
    settings: Any
    components: Components
    architecture: Any
    shapes: dict[str, tuple[int, ...]]
    vocabulary: Vocabulary | None = None
    tokenizer: Tokenizer | None = None
    codecs: Codecs | None = None
    read: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_tied(self) -> bool:
        """Whether the embeddings are the output weights."""
        return getattr(self.architecture, "tie_weights", False)

    @classmethod
    def of_file(cls, path: Path) -> ImportedModel:
        """Return what a file says.

        Raises:
            RunError: it is missing, or is no description of a model; or it names a setting or a plugin that is not
                there, or a cell without a native formula.
        """
        values = _read(path)
        try:
            if values["task"] == LANGUAGE_MODEL:
                return _language_model(values)
            return _sequence_model(values)
        except (ValueError, UsageError) as error:
            raise RunError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{reprlib.repr(twice)} stands there twice")
        return found

    try:
        values = json.loads(read_file(followed(path)), object_pairs_hook=without_repetition)
        check(values, _DESCRIPTION, "it")
        check(values, _OF_TASK[values["task"]], "it")
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} does not describe a model: {error}") from error
    return dict(values)


def _components(values: Mapping[str, Any], kind: type[Any]) -> tuple[Any, Components]:
    settings = make_settings(kind, values["settings"])
    components = Components.choose(settings, installed_plugins(), values.get("plugins"))
    return components.resolve(settings), components


def _language_model(values: Mapping[str, Any]) -> ImportedModel:
    settings, components = _components(values, LanguageSettings)
    formula = formula_of(components.cell)
    given = values["vocabulary"]
    counts = given.get("counts", [0] + [1] * len(given["tokens"]))
    vocabulary = Vocabulary.from_json({"tokens": given["tokens"], "counts": counts})
    bidirectional = components.cell.spec.bidirectional
    architecture = LanguageArchitecture.choose(settings, bidirectional, len(vocabulary))
    settings = settings.replace(**chosen_for(settings, int(vocabulary.counts.sum()), len(vocabulary)))
    return ImportedModel(
        values["task"],
        settings,
        components,
        architecture,
        language_shapes(architecture, formula),
        vocabulary=vocabulary,
        tokenizer=_tokenizer(components, values.get("tokenizer", {})),
    )


def _tokenizer(components: Components, given: Mapping[str, Any]) -> Tokenizer:
    tokenizer = components.build_tokenizer()
    if isinstance(tokenizer, TrainableTokenizer):
        try:
            tokenizer.restore(given.get("state", {}))
        except Exception as error:
            raise ValueError(f"the tokenizer cannot use its state: {describe(error)}") from error
    return tokenizer


def _sequence_model(values: Mapping[str, Any]) -> ImportedModel:
    settings, components = _components(values, SequenceSettings)
    formula, char_cell = formula_of(components.cell), components.char_cell
    codecs = Codecs.from_json(values["encoders"])
    outputs = values["architecture"]["outputs"]
    if (outputs == "values") != isinstance(codecs.outputs, ValueCodec):
        raise ValueError(f"the model predicts {outputs}, and 'encoders' are of others")
    recorded = values["architecture"].get("vectors", [])
    check(recorded, [COUNT], "the architecture's vectors")
    read = {name: values[name] for name in ("vectors", "language_model") if name in values}
    if len(recorded) != len(read):
        raise ValueError(f"the architecture has {len(recorded)} sources of vectors, and {len(read)} are named")
    sizes = {**codecs.sizes, "vectors": tuple(recorded)}
    if (sizes["characters"] > 0) != (char_cell is not None):
        raise ValueError("of 'encoders' with characters and the setting `char_cell`, there must be both or neither")
    architecture = SequenceArchitecture.choose(
        settings,
        outputs=outputs,
        bidirectional=components.cell.spec.bidirectional,
        char_bidirectional=char_cell is not None and char_cell.spec.bidirectional,
        **sizes,
    )
    shapes = sequence_shapes(architecture, formula, None if char_cell is None else formula_of(char_cell))
    return ImportedModel(values["task"], settings, components, architecture, shapes, codecs=codecs, read=read)
