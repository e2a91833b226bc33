"""The settings of a training, each declared once: name, type, default, range and help.

The command line makes its options from these fields, and a run's ``config.json`` records them.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

from seqlm_core.errors import SettingError
from seqlm_core.settings.arguments import check_encoding
from seqlm_core.settings.fields import check_settings, setting
from seqlm_core.settings.schedules import OF_A_USER, SCHEDULES

# Larger sizes fit no memory, and overflow the 32 bits in which MXNet counts.
LARGEST_SIZE = 2**16
# Whatever is computed in float32 with a smaller number is 0, as if nothing were learnt.
SMALLEST_NUMBER = 1e-30

SettingsT = TypeVar("SettingsT", bound="TrainingSettings")

UNDER_A_CONSTANT_SCHEDULE = "under a constant schedule"


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """What a user can set of any training. ``None`` means: chosen as the help text says."""

    cell: str | None = setting(None, "Recurrent cell, one of those that 'seqlm plugins' lists.", shapes_model=True)
    optimizer: str = setting("adam", "Optimizer that updates the weights.")
    cell_options: dict[str, Any] = setting({}, "Option of the cell.", shapes_model=True)
    optimizer_options: dict[str, Any] = setting({}, "Option of the optimizer.")

    hidden_size: int = setting(
        256, "Units in each layer and direction.", minimum=1, maximum=LARGEST_SIZE, shapes_model=True
    )
    layers: int = setting(1, "Recurrent layers.", minimum=1, maximum=100, shapes_model=True)
    embedding_size: int | None = setting(
        None,
        "Size of token embeddings; 0 reads tokens one-hot.  [default: 0 up to 32 different tokens; above that "
        "the smaller of the hidden size and their number]",
        minimum=0,
        maximum=LARGEST_SIZE,
        shapes_model=True,
        tokens_only=True,
    )
    dropout: float | None = setting(
        None, "Share of the embeddings and of each layer's outputs dropped in training.", minimum=0, below=1
    )

    batch_size: int = setting(32, "Windows read side by side.", minimum=1, maximum=LARGEST_SIZE)
    epochs: int = setting(40, "Passes over the training text.", minimum=1, changeable=UNDER_A_CONSTANT_SCHEDULE)
    max_steps: int | None = setting(
        None, "Stop after this many steps.", minimum=1, changeable=UNDER_A_CONSTANT_SCHEDULE
    )
    learning_rate: float | None = setting(
        None, "Learning rate at its highest.  [default: as the optimizer suggests]", above=0
    )
    schedule: str = setting(
        "cosine",
        "How the learning rate goes: constant; cosine, falling to a twentieth at the end; or step, "
        "divided by 10 after half and again after three quarters of the training.",
        choices=tuple(SCHEDULES),
    )
    warmup: int = setting(50, "Steps over which the learning rate rises from 0.", minimum=0)
    clip_norm: float = setting(1.0, "Largest norm of the gradient; 0 does not clip.", minimum=0)
    patience: int = setting(
        0,
        "Stop after this many epochs without a better validation loss (training loss, if nothing is kept for "
        "validation); 0 never does.",
        minimum=0,
    )

    min_count: int | None = setting(
        None,
        "Fewest occurrences that give a token a place in the vocabulary.",
        minimum=1,
        shapes_model=True,
        tokens_only=True,
    )
    max_vocabulary: int = setting(
        0, "Most tokens in the vocabulary; 0 sets no limit.", minimum=0, shapes_model=True, tokens_only=True
    )
    validation_fraction: float = setting(0.1, "Share of the text, at its end, kept for validation.", minimum=0, below=1)

    seed: int = setting(1, "Seed of everything random.", minimum=0)
    detect_anomaly: bool = setting(
        False, "Look at every step, which takes time, and name the layer where a number first is not finite."
    )
    device: str = setting("auto", "Where to compute: auto, cpu, gpu or gpu:N.")
    checkpoint_every: str = setting(
        "epoch",
        "When to save what resuming needs, besides the end: epoch; a number of steps, such as 100; or minutes, such as "
        "10m.",
        changeable=True,
    )
    log_every: int = setting(
        50, "Steps between two reports of the training loss; 0 is never.", minimum=0, changeable=True
    )

    def __post_init__(self) -> None:
        has_own_schedule = isinstance(self.schedule, str) and self.schedule.startswith(OF_A_USER)
        check_settings(self, besides=["schedule"] if has_own_schedule else [])
        for name, value in vars(self).items():
            if isinstance(value, float) and 0 < abs(value) < SMALLEST_NUMBER:
                raise SettingError(name, f"is too small to compute with: {value}; the smallest is {SMALLEST_NUMBER:g}")
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

    cell: str = setting("lstm", "Recurrent cell, one of those that 'seqlm plugins' lists.", shapes_model=True)
    dropout: float = setting(
        0.3, "Share of the embeddings and of each layer's outputs dropped in training.", minimum=0, below=1
    )
    tokenizer: str = setting("char", "Tokenizer that cuts the text.", shapes_model=True)
    tokenizer_options: dict[str, Any] = setting({}, "Option of the tokenizer.", shapes_model=True)
    tie_weights: bool = setting(False, "Use the embeddings as the output weights too.", shapes_model=True)
    hide_right_context: float = setting(
        0.5,
        "Bidirectional cells: share of the predictions trained without the text that follows.",
        minimum=0,
        maximum=1,
    )
    sequence_length: int = setting(50, "Tokens in a training window.", minimum=1, maximum=LARGEST_SIZE)
    reset_probability: float = setting(
        0.01,
        "Chance of a window to begin with a fresh state instead of that of the window before, so that the model "
        "also learns to begin a text.",
        minimum=0,
        maximum=1,
    )
    min_count: int | None = setting(
        None,
        "Fewest occurrences that give a token a place in the vocabulary.  [default: as the tokenizer suggests, 1 for "
        "char and 2 for word]",
        minimum=1,
        shapes_model=True,
        tokens_only=True,
    )
    encoding: str = setting("utf-8", "Encoding of the text.")
    sample_every: int = setting(250, "Steps between two samples of text; 0 is never.", minimum=0, changeable=True)

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

    cell: str | None = setting(
        None,
        "Recurrent cell, one of those that 'seqlm plugins' lists.  [default: bilstm; lstm where values are predicted]",
        shapes_model=True,
    )
    hidden_size: int = setting(
        128, "Units in each layer and direction.", minimum=1, maximum=LARGEST_SIZE, shapes_model=True
    )
    dropout: float | None = setting(
        None,
        "Share of the embeddings and of each layer's outputs dropped in training.  [default: 0.3; 0 where values are "
        "predicted]",
        minimum=0,
        below=1,
    )
    batch_size: int = setting(32, "Sequences read side by side.", minimum=1, maximum=LARGEST_SIZE)
    epochs: int = setting(20, "Passes over the training sequences.", minimum=1, changeable=UNDER_A_CONSTANT_SCHEDULE)
    min_count: int = setting(
        2,
        "Fewest occurrences that give a token a place in the vocabulary; with 1 nothing is learnt of unknown tokens.",
        minimum=1,
        shapes_model=True,
        tokens_only=True,
    )
    validation_fraction: float = setting(
        0.1, "Share of the sequences, drawn at random, kept for validation.", minimum=0, below=1
    )
    char_cell: str | None = setting(
        None,
        "Also read the characters of each token, with this recurrent cell.  [default: tokens are read whole]",
        shapes_model=True,
        tokens_only=True,
    )
    char_cell_options: dict[str, Any] = setting(
        {}, "Option of the character cell.", shapes_model=True, tokens_only=True, needs="char_cell"
    )
    char_hidden_size: int = setting(
        32,
        "Units of the character cell in each direction, and size of its embeddings.",
        minimum=1,
        maximum=LARGEST_SIZE,
        shapes_model=True,
        tokens_only=True,
        needs="char_cell",
    )
