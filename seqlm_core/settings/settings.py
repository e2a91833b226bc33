"""The settings of a training, each declared once: name, type, default, range and help.

The command line makes its options from these fields, and a run's ``config.json`` records them.
"""

from __future__ import annotations

import dataclasses
import math
import re
import reprlib
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from seqlm_core.errors import SettingError, UsageError
from seqlm_core.settings.arguments import check_encoding
from seqlm_core.settings.schedules import OF_A_USER, SCHEDULES

# Larger sizes fit no memory, and overflow the 32 bits in which MXNet counts.
LARGEST_SIZE = 2**16
# What 64 bits hold, so that steps and settings can be counted and multiplied anywhere.
LARGEST_NUMBER: dict[type, Any] = {int: 2**63, float: sys.float_info.max}
# Whatever is computed in float32 with a smaller number is 0, as if nothing were learnt.
SMALLEST_NUMBER = 1e-30

SettingsT = TypeVar("SettingsT", bound="TrainingSettings")


UNDER_A_CONSTANT_SCHEDULE = "under a constant schedule"


def _setting(default: Any, help: str, **facts: Any) -> Any:
    """Return a field with what is known of the setting.

    Args:
        default: its default.
        help: what it is, as the command line shows it.
        facts: the limits ``minimum``, ``maximum``, ``above``, ``below`` and ``choices``; ``shapes_model``, whether a
            model that begins with the weights of a run takes it from that run; ``changeable``, whether it may change
            when a run is resumed: True, or :data:`UNDER_A_CONSTANT_SCHEDULE`; ``tokens_only``, whether a model of
            values has no use for it; ``needs``, the setting without which it has no use.
    """
    if default == {}:
        return dataclasses.field(default_factory=dict, metadata={"help": help, **facts})
    return dataclasses.field(default=default, metadata={"help": help, **facts})


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """What a user can set of any training. ``None`` means: chosen as the help text says."""

    cell: str | None = _setting(None, "Recurrent cell, one of those that 'seqlm plugins' lists.", shapes_model=True)
    optimizer: str = _setting("adam", "Optimizer that updates the weights.")
    cell_options: dict[str, Any] = _setting({}, "Option of the cell.", shapes_model=True)
    optimizer_options: dict[str, Any] = _setting({}, "Option of the optimizer.")

    hidden_size: int = _setting(
        256, "Units in each layer and direction.", minimum=1, maximum=LARGEST_SIZE, shapes_model=True
    )
    layers: int = _setting(1, "Recurrent layers.", minimum=1, maximum=100, shapes_model=True)
    embedding_size: int | None = _setting(
        None,
        "Size of token embeddings; 0 reads tokens one-hot.  [default: 0 up to 32 different tokens; above that "
        "the smaller of the hidden size and their number]",
        minimum=0,
        maximum=LARGEST_SIZE,
        shapes_model=True,
        tokens_only=True,
    )
    dropout: float | None = _setting(
        None, "Share of the embeddings and of each layer's outputs dropped in training.", minimum=0, below=1
    )

    batch_size: int = _setting(32, "Windows read side by side.", minimum=1, maximum=LARGEST_SIZE)
    epochs: int = _setting(40, "Passes over the training text.", minimum=1, changeable=UNDER_A_CONSTANT_SCHEDULE)
    max_steps: int | None = _setting(
        None, "Stop after this many steps.", minimum=1, changeable=UNDER_A_CONSTANT_SCHEDULE
    )
    learning_rate: float | None = _setting(
        None, "Learning rate at its highest.  [default: as the optimizer suggests]", above=0
    )
    schedule: str = _setting(
        "cosine",
        "How the learning rate goes: constant; cosine, falling to a twentieth at the end; or step, "
        "divided by 10 after half and again after three quarters of the training.",
        choices=tuple(SCHEDULES),
    )
    warmup: int = _setting(50, "Steps over which the learning rate rises from 0.", minimum=0)
    clip_norm: float = _setting(1.0, "Largest norm of the gradient; 0 does not clip.", minimum=0)
    patience: int = _setting(
        0,
        "Stop after this many epochs without a better validation loss (training loss, if nothing is kept for "
        "validation); 0 never does.",
        minimum=0,
    )

    min_count: int | None = _setting(
        None,
        "Fewest occurrences that give a token a place in the vocabulary.",
        minimum=1,
        shapes_model=True,
        tokens_only=True,
    )
    max_vocabulary: int = _setting(
        0, "Most tokens in the vocabulary; 0 sets no limit.", minimum=0, shapes_model=True, tokens_only=True
    )
    validation_fraction: float = _setting(
        0.1, "Share of the text, at its end, kept for validation.", minimum=0, below=1
    )

    seed: int = _setting(1, "Seed of everything random.", minimum=0, below=2**63)
    detect_anomaly: bool = _setting(
        False, "Look at every step, which takes time, and name the layer where a number first is not finite."
    )
    device: str = _setting("auto", "Where to compute: auto, cpu, gpu or gpu:N.")
    checkpoint_every: str = _setting(
        "epoch",
        "When to save what resuming needs, besides the end: epoch; a number of steps, such as 100; or minutes, such as "
        "10m.",
        changeable=True,
    )
    log_every: int = _setting(
        50, "Steps between two reports of the training loss; 0 is never.", minimum=0, changeable=True
    )

    def __post_init__(self) -> None:
        types = setting_types(type(self))
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name), types[field.name])
        if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", self.device):
            raise SettingError("device", f"must be auto, cpu, gpu or gpu:N, not {self.device!r}")
        if not re.fullmatch(r"epoch|[1-9]\d*|\d*\.?\d+m", self.checkpoint_every):
            raise SettingError(
                "checkpoint_every",
                f"must be epoch, a number of steps or minutes such as 10m, not {self.checkpoint_every!r}",
            )

    def replace(self: SettingsT, **changes: Any) -> SettingsT:
        """Return the same settings with some changed."""
        return dataclasses.replace(self, **changes)


@dataclasses.dataclass(frozen=True)
class LanguageSettings(TrainingSettings):
    """Everything that a user can set of the training of a language model."""

    cell: str = _setting("lstm", "Recurrent cell, one of those that 'seqlm plugins' lists.", shapes_model=True)
    dropout: float = _setting(
        0.3, "Share of the embeddings and of each layer's outputs dropped in training.", minimum=0, below=1
    )
    tokenizer: str = _setting("char", "Tokenizer that cuts the text.", shapes_model=True)
    tokenizer_options: dict[str, Any] = _setting({}, "Option of the tokenizer.", shapes_model=True)
    tie_weights: bool = _setting(False, "Use the embeddings as the output weights too.", shapes_model=True)
    hide_right_context: float = _setting(
        0.5,
        "Bidirectional cells: share of the predictions trained without the text that follows.",
        minimum=0,
        maximum=1,
    )
    sequence_length: int = _setting(50, "Tokens in a training window.", minimum=1, maximum=LARGEST_SIZE)
    reset_probability: float = _setting(
        0.01,
        "Chance of a window to begin with a fresh state instead of that of the window before, so that the model "
        "also learns to begin a text.",
        minimum=0,
        maximum=1,
    )
    min_count: int | None = _setting(
        None,
        "Fewest occurrences that give a token a place in the vocabulary.  [default: as the tokenizer suggests, 1 for "
        "char and 2 for word]",
        minimum=1,
        shapes_model=True,
        tokens_only=True,
    )
    encoding: str = _setting("utf-8", "Encoding of the text.")
    sample_every: int = _setting(250, "Steps between two samples of text; 0 is never.", minimum=0, changeable=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tie_weights and self.embedding_size not in (None, self.hidden_size):
            raise SettingError(
                "tie_weights",
                f"needs embeddings as large as the hidden size ({self.hidden_size}), not {self.embedding_size}",
            )
        check_encoding(self.encoding)


@dataclasses.dataclass(frozen=True)
class SequenceSettings(TrainingSettings):
    """Everything that a user can set of the training of a model of whole sequences."""

    cell: str | None = _setting(
        None,
        "Recurrent cell, one of those that 'seqlm plugins' lists.  [default: bilstm; lstm where values are predicted]",
        shapes_model=True,
    )
    hidden_size: int = _setting(
        128, "Units in each layer and direction.", minimum=1, maximum=LARGEST_SIZE, shapes_model=True
    )
    dropout: float | None = _setting(
        None,
        "Share of the embeddings and of each layer's outputs dropped in training.  [default: 0.3; 0 where values are "
        "predicted]",
        minimum=0,
        below=1,
    )
    batch_size: int = _setting(32, "Sequences read side by side.", minimum=1, maximum=LARGEST_SIZE)
    epochs: int = _setting(20, "Passes over the training sequences.", minimum=1, changeable=UNDER_A_CONSTANT_SCHEDULE)
    min_count: int = _setting(
        2,
        "Fewest occurrences that give a token a place in the vocabulary; with 1 nothing is learnt of unknown tokens.",
        minimum=1,
        shapes_model=True,
        tokens_only=True,
    )
    validation_fraction: float = _setting(
        0.1, "Share of the sequences, drawn at random, kept for validation.", minimum=0, below=1
    )
    char_cell: str | None = _setting(
        None,
        "Also read the characters of each token, with this recurrent cell.  [default: tokens are read whole]",
        shapes_model=True,
        tokens_only=True,
    )
    char_cell_options: dict[str, Any] = _setting(
        {}, "Option of the character cell.", shapes_model=True, tokens_only=True, needs="char_cell"
    )
    char_hidden_size: int = _setting(
        32,
        "Units of the character cell in each direction, and size of its embeddings.",
        minimum=1,
        maximum=LARGEST_SIZE,
        shapes_model=True,
        tokens_only=True,
        needs="char_cell",
    )


def facts(kind: type[TrainingSettings], name: str) -> dict[str, Any]:
    """Return a fact, such as ``changeable``, of all settings of a kind of which it is known."""
    return {field.name: field.metadata[name] for field in dataclasses.fields(kind) if name in field.metadata}


def names_of(kind: type[TrainingSettings], fact: str) -> tuple[str, ...]:
    """Return the names of the settings of a kind of which a fact is true, such as ``shapes_model``."""
    return tuple(name for name, holds in facts(kind, fact).items() if holds)


def make_settings(kind: type[SettingsT], given: Mapping[str, Any]) -> SettingsT:
    """Return settings of a kind with the ``given`` values.

    Raises:
        UsageError: a name is not a setting, or a value is out of its range.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in names:
            raise UsageError(f"no setting {name!r}; there are: {', '.join(names)}")
    return kind(**given)


def setting_types(kind: type[TrainingSettings]) -> dict[str, type]:
    """Return the plain type of each setting, ``None`` left out."""
    plain = {"str": str, "int": int, "float": float, "bool": bool, "dict": dict}
    found = {}
    for field in dataclasses.fields(kind):
        name = str(field.type).partition("[")[0].replace(" | None", "")
        found[field.name] = plain[name]
    return found


def _check(field: dataclasses.Field[Any], value: Any, kind: type) -> None:
    """Raise :class:`SettingError` unless ``value`` is of the field's plain type ``kind`` and within its limits."""
    if value is None:
        if field.default is None:
            return
        raise SettingError(field.name, "must not be None")
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        words = {int: "a whole number", float: "a number", bool: "True or False", dict: "a dictionary", str: "text"}
        raise SettingError(field.name, f"must be {words[kind]}, not {reprlib.repr(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingError(field.name, f"must be a finite number, not {value}")
    if isinstance(value, float) and 0 < abs(value) < SMALLEST_NUMBER:
        raise SettingError(field.name, f"is too small to compute with: {value}; the smallest is {SMALLEST_NUMBER:g}")
    limits = field.metadata
    limit = LARGEST_NUMBER.get(kind)
    if limit is not None and not -limit < value < limit:
        raise SettingError(field.name, f"is too large a number: {reprlib.repr(value)}")
    if "minimum" in limits and value < limits["minimum"]:
        raise SettingError(field.name, f"must be at least {limits['minimum']}, not {value}")
    if "maximum" in limits and value > limits["maximum"]:
        raise SettingError(field.name, f"must be at most {limits['maximum']}, not {value}")
    if "above" in limits and not value > limits["above"]:
        raise SettingError(field.name, f"must be above {limits['above']}, not {value}")
    if "below" in limits and not value < limits["below"]:
        raise SettingError(field.name, f"must be below {limits['below']}, not {value}")
    if "choices" in limits and value not in limits["choices"]:
        if field.name == "schedule" and str(value).startswith(OF_A_USER):
            return
        raise SettingError(field.name, f"must be one of {', '.join(limits['choices'])}, not {value!r}")
