"""The settings of any training, each declared once: name, type, default, range and help.

The command line makes its options from these fields, and a run's ``config.json`` records them.
"""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any, TypeVar

from seqlm_core.errors import SettingError
from seqlm_core.settings.averages import AVERAGES, EMA, NONE
from seqlm_core.settings.dropout_rates import LOCKED, PER_ELEMENT
from seqlm_core.settings.fields import check_settings, setting
from seqlm_core.settings.precisions import FLOAT32, PRECISIONS
from seqlm_core.settings.schedules import OF_A_USER, PLATEAU, SCHEDULES
from seqlm_core.settings.sizes import MOST_LAYERS, Sizes, layers_and_sizes, size_of_each

# Larger sizes fit no memory, and overflow the 32 bits in which MXNet counts.
LARGEST_SIZE = 2**16
# Whatever is computed in float32 with a smaller number is 0, as if nothing were learnt.
SMALLEST_NUMBER = 1e-30

SettingsT = TypeVar("SettingsT", bound="TrainingSettings")

UNDER_A_SCHEDULE_WITHOUT_END = "under a schedule without end"

# Help texts of settings that have another default in each class.
HIDDEN_SIZE = "Number of units in each direction of each layer: one for all layers, or one for each, the lowest first."
DROPOUT = (
    "Share of the units that is set to 0 in training. It sets the rates of all kinds of dropout, each of which can "
    "also be set by itself."
)
DROPOUT_MASKS = (
    "Which units are set to 0: with 'locked', the same ones at all time steps of a window; with 'per-element', others "
    "at each time step."
)
EPOCHS = "Number of passes over the training data."
VALIDATE_EVERY = (
    "Validate after every N steps instead of after each epoch, and report, choose the best weights and count patience "
    "so. 0 does it after each epoch."
)
ACTIVATION_PENALTY = "Factor of a penalty on the mean square of the last layer's outputs."
BATCH_SIZE = "Number of windows in a batch."
WEIGHT_DECAY = (
    "Share of each weight, times the learning rate, that is taken from it at each step, beside the optimizer's update. "
    "Biases are not decayed."
)
BY_SIZE = "  [default: by the size of the text]"
RATE_OF_DROPOUT = "  [default: a share of the general dropout]"
MIN_COUNT = "Keep only tokens in the vocabulary that occur at least N times."


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """What a user can set of any training. ``None`` means: chosen as the help text says."""

    cell: str | None = setting(
        None, "Name of the recurrent cell; 'seqlm plugins' lists them.", group="model", shapes_model=True
    )
    optimizer: str = setting("adam", "Name of the optimizer; 'seqlm plugins' lists them.", group="training")
    cell_options: dict[str, Any] = setting({}, "Option of the cell.", group="model", shapes_model=True)
    optimizer_options: dict[str, Any] = setting({}, "Option of the optimizer.", group="training")

    hidden_size: Sizes = setting(
        256,
        HIDDEN_SIZE,
        group="model",
        minimum=1,
        maximum=LARGEST_SIZE,
        shapes_model=True,
    )
    # Never None once the settings are made.
    layers: int = setting(
        None,
        "Number of recurrent layers.  [default: 1, or as many as there are sizes of layers]",
        group="model",
        minimum=1,
        maximum=MOST_LAYERS,
        shapes_model=True,
    )
    embedding_size: int | None = setting(
        None,
        "Size of the token embeddings. 0 uses one-hot vectors instead.  [default: 0 if there are at most 32 different "
        "tokens; otherwise the size of the lowest layer or the number of tokens, whichever is smaller]",
        group="model",
        minimum=0,
        maximum=LARGEST_SIZE,
        shapes_model=True,
        tokens_only=True,
    )
    dropout: float | None = setting(None, DROPOUT, group="model", minimum=0, below=1)
    dropout_masks: str = setting(
        LOCKED, DROPOUT_MASKS, group="advanced", choices=(LOCKED, PER_ELEMENT), of_older_runs=PER_ELEMENT
    )
    input_dropout: float | None = setting(
        None,
        "Dropout of the vectors that the lowest layer reads. Without it, the lowest layer's products with the "
        "embeddings can be computed once for each token of a small vocabulary, which is faster." + RATE_OF_DROPOUT,
        group="advanced",
        minimum=0,
        below=1,
    )
    embedding_dropout: float | None = setting(
        None,
        "Dropout of whole tokens: wherever the token stands in a batch, its embedding is 0." + RATE_OF_DROPOUT,
        group="advanced",
        minimum=0,
        below=1,
        tokens_only=True,
    )
    layer_dropout: float | None = setting(
        None,
        "Dropout of the outputs of all layers but the last." + RATE_OF_DROPOUT,
        group="advanced",
        minimum=0,
        below=1,
    )
    output_dropout: float | None = setting(
        None, "Dropout of the last layer's outputs." + RATE_OF_DROPOUT, group="advanced", minimum=0, below=1
    )
    recurrent_dropout: float | None = setting(
        None,
        "Dropout of the recurrent weights (DropConnect), the same ones for all sequences of a batch." + RATE_OF_DROPOUT,
        group="advanced",
        minimum=0,
        below=1,
    )
    activation_penalty: float | None = setting(None, ACTIVATION_PENALTY, group="advanced", minimum=0)
    temporal_activation_penalty: float = setting(
        0.0,
        "Factor of a penalty on the mean square of the last layer's differences from one time step to the next.",
        group="advanced",
        minimum=0,
    )
    weight_decay: float | None = setting(None, WEIGHT_DECAY, group="advanced", minimum=0)

    batch_size: int | None = setting(None, BATCH_SIZE, group="training", minimum=1, maximum=LARGEST_SIZE)
    epochs: int | None = setting(None, EPOCHS, group="training", minimum=1, changeable=UNDER_A_SCHEDULE_WITHOUT_END)
    max_steps: int | None = setting(
        None,
        "Stop after N steps.  [default: no limit]",
        group="training",
        minimum=1,
        changeable=UNDER_A_SCHEDULE_WITHOUT_END,
    )
    learning_rate: float | None = setting(
        None, "Highest learning rate.  [default: the optimizer's suggestion]", group="training", above=0
    )
    schedule: str = setting(
        "cosine",
        "How the learning rate changes. 'constant' keeps it; 'cosine' lowers it to a twentieth by the end; 'step' "
        "divides it by 10 after half and again after three quarters of the training; 'plateau' divides it by 4 after "
        "each epoch without a better validation loss, or without a better training loss if there is no validation.",
        group="training",
        choices=(*SCHEDULES, PLATEAU),
    )
    warmup: int = setting(50, "Raise the learning rate from 0 in the first N steps.", group="training", minimum=0)
    average: str = setting(
        NONE,
        "Average the weights over the steps, and measure, keep and sample the averaged model; the training itself goes "
        "on without it. 'ema' is an exponential moving average; 'triggered' is the mean of all weights since the "
        "validation loss stalled.",
        group="training",
        choices=AVERAGES,
    )
    average_decay: float | None = setting(
        None,
        "Decay of the exponential moving average in a step; it is lower in the first steps.  [default: 0.998]",
        group="advanced",
        above=0,
        below=1,
    )
    clip_norm: float = setting(
        1.0,
        "Scale the gradient down if its norm is above X. 0 disables clipping.",
        group="advanced",
        minimum=0,
    )
    patience: int = setting(
        0,
        "Stop after N epochs (or validations, with `validate_every`) without a better validation loss, or without a "
        "better training loss if there is no validation. 0 disables this.",
        group="training",
        minimum=0,
    )
    validate_every: int | None = setting(0, VALIDATE_EVERY, group="training", minimum=0)

    min_count: int | None = setting(None, MIN_COUNT, group="text", minimum=1, shapes_model=True, tokens_only=True)
    max_vocabulary: int = setting(
        0,
        "Keep only the N most frequent tokens in the vocabulary. 0 sets no limit.",
        group="text",
        minimum=0,
        shapes_model=True,
        tokens_only=True,
    )
    validation_fraction: float = setting(
        0.1,
        "Share of the text, taken from its end, that is kept for validation. 0 keeps nothing.",
        group="text",
        minimum=0,
        below=1,
    )

    seed: int = setting(1, "Seed of all random numbers.", group="training", minimum=0)
    detect_anomaly: bool = setting(
        False,
        "Check the numbers in every step, and name the first layer with a number that is not finite. This slows the "
        "training down.",
        group="advanced",
    )
    device: str = setting(
        "auto",
        "Device to compute on: 'cpu', 'gpu', 'gpu:N' for GPU number N, or 'auto' for a GPU if there is one to use.",
        group="advanced",
        changeable=True,
    )
    precision: str = setting(
        FLOAT32,
        "What the factors of matrix products are rounded to in training. With 'bfloat16' large models train faster, on "
        "processors with AVX512-BF16; everything else is computed in float32, and so are all figures.",
        group="training",
        choices=PRECISIONS,
    )
    checkpoint_every: str = setting(
        "epoch",
        "When to save a checkpoint: 'epoch', a number of steps such as 100, or minutes such as 10m. There is always "
        "one at the end.",
        group="output",
        changeable=True,
    )
    log_every: int = setting(
        50,
        "Report the training loss every N steps. 0 disables reports.",
        group="output",
        minimum=0,
        changeable=True,
    )
    tensorboard: str | None = setting(
        None,
        "Directory to write figures, samples and settings to for TensorBoard. A run that is resumed goes on there; an "
        "empty text ends this.",
        group="output",
        changeable=True,
        metavar="DIR",
    )

    def __post_init__(self) -> None:
        if isinstance(self.tensorboard, (str, os.PathLike)) and os.fspath(self.tensorboard):
            # So that a run that is resumed from another folder goes on with it.
            object.__setattr__(self, "tensorboard", os.path.abspath(os.fspath(self.tensorboard)))
        has_own_schedule = isinstance(self.schedule, str) and self.schedule.startswith(OF_A_USER)
        check_settings(self, besides=["schedule"] if has_own_schedule else [])
        layers, hidden_size = layers_and_sizes(self.layers, self.hidden_size)
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "hidden_size", hidden_size)
        for name, value in vars(self).items():
            if isinstance(value, float) and 0 < abs(value) < SMALLEST_NUMBER:
                raise SettingError(name, f"is too small to compute with: {value}; the smallest is {SMALLEST_NUMBER:g}")
        if self.average_decay is not None and self.average != EMA:
            raise SettingError("average_decay", f"is of no use unless `average` is {EMA}, and it is {self.average}")
        if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", self.device):
            raise SettingError("device", f"must be auto, cpu, gpu or gpu:N, not {self.device!r}")
        if not re.fullmatch(r"epoch|[1-9]\d*|\d*\.?\d+m", self.checkpoint_every):
            raise SettingError(
                "checkpoint_every",
                f"must be epoch, a number of steps or minutes such as 10m, not {self.checkpoint_every!r}",
            )

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """The number of units in each direction of each layer, the lowest first."""
        return size_of_each(self.hidden_size, self.layers)

    @property
    def units(self) -> str:
        """The layers and their units in words, such as ``2 x 512`` or ``1150, 1150, 400``."""
        if isinstance(self.hidden_size, int):
            return f"{self.layers} x {self.hidden_size}"
        return ", ".join(map(str, self.hidden_sizes))

    def replace(self: SettingsT, **changes: Any) -> SettingsT:
        """Return the same settings with some changed."""
        return dataclasses.replace(self, **changes)
