"""The settings of a language model's training and of a sequence model's, beside those of any training."""

from __future__ import annotations

import dataclasses
from typing import Any

from seqlm_core.errors import SettingError
from seqlm_core.settings.arguments import check_encoding
from seqlm_core.settings.dropout_rates import LOCKED, PER_ELEMENT
from seqlm_core.settings.fields import setting
from seqlm_core.settings.sizes import Sizes
from seqlm_core.settings.training_settings import (
    ACTIVATION_PENALTY,
    BATCH_SIZE,
    BY_SIZE,
    DROPOUT,
    DROPOUT_MASKS,
    EPOCHS,
    HIDDEN_SIZE,
    LARGEST_SIZE,
    MIN_COUNT,
    UNDER_A_SCHEDULE_WITHOUT_END,
    VALIDATE_EVERY,
    WEIGHT_DECAY,
    TrainingSettings,
)

NO_DOCUMENTS, FILE_DOCUMENTS, LINE_DOCUMENTS = "none", "file", "line"
SOFTMAX, ADAPTIVE, CRF = "softmax", "adaptive", "crf"
ALL_ROWS, READ_ROWS = "all", "read"
BY_LOSS, BY_SCORE = "loss", "score"


@dataclasses.dataclass(frozen=True)
class LanguageSettings(TrainingSettings):
    """Everything that a user can set of the training of a language model."""

    cell: str = setting(
        "lstm", "Name of the recurrent cell; 'seqlm plugins' lists them.", group="model", shapes_model=True
    )
    dropout: float | None = setting(None, DROPOUT + BY_SIZE, group="model", minimum=0, below=1)
    tokenizer: str = setting(
        "char",
        "Name of the tokenizer, which splits the text into tokens; 'seqlm plugins' lists them.",
        group="text",
        shapes_model=True,
    )
    tokenizer_options: dict[str, Any] = setting({}, "Option of the tokenizer.", group="text", shapes_model=True)
    documents: str = setting(
        NO_DOCUMENTS,
        "What is read from a fresh state, since it has nothing to do with what is before it: each file, each line, or "
        "none of them.",
        group="text",
        choices=(NO_DOCUMENTS, FILE_DOCUMENTS, LINE_DOCUMENTS),
        shapes_model=True,
    )
    tie_weights: bool = setting(
        False, "Use the token embeddings as the output weights too.", group="model", shapes_model=True
    )
    output_layer: str = setting(
        SOFTMAX,
        "How tokens are predicted: all at once by a softmax, or, for large vocabularies, by an adaptive softmax, which "
        "predicts rare tokens in two steps and trains faster.",
        group="model",
        choices=(SOFTMAX, ADAPTIVE),
        shapes_model=True,
    )
    hide_right_context: float = setting(
        0.5,
        "Share of the predictions for which a bidirectional model is trained without the text to their right.",
        group="advanced",
        minimum=0,
        maximum=1,
    )
    batch_size: int | None = setting(None, BATCH_SIZE + BY_SIZE, group="training", minimum=1, maximum=LARGEST_SIZE)
    epochs: int | None = setting(
        None, EPOCHS + BY_SIZE, group="training", minimum=1, changeable=UNDER_A_SCHEDULE_WITHOUT_END
    )
    activation_penalty: float | None = setting(
        None,
        ACTIVATION_PENALTY + "  [default: the cell's suggestion: 1 for gru and lstm, in one direction or both, and 0 "
        "for rnn]",
        group="advanced",
        minimum=0,
        of_older_runs=0.0,
    )
    weight_decay: float | None = setting(None, WEIGHT_DECAY + BY_SIZE, group="advanced", minimum=0, of_older_runs=0.0)
    embedding_updates: str | None = setting(
        None,
        "Which rows of the embeddings a step updates: all, or only those of tokens that it reads, so that it takes no "
        "longer with a larger vocabulary. What it would do to the others is made up for when they are read again.  "
        "[default: read from 20,000 tokens in the vocabulary on, where it is the same as all, to rounding]",
        group="advanced",
        choices=(ALL_ROWS, READ_ROWS),
        of_older_runs=ALL_ROWS,
    )
    validate_every: int | None = setting(None, VALIDATE_EVERY + BY_SIZE, group="training", minimum=0, of_older_runs=0)
    validation_limit: int = setting(
        1_000_000,
        "The most characters of the validation part that is taken from the end of the text. 0 sets no limit.",
        group="text",
        minimum=0,
        of_older_runs=0,
    )
    sequence_length: int = setting(
        50, "Number of tokens in a training window.", group="training", minimum=1, maximum=LARGEST_SIZE
    )
    reset_probability: float = setting(
        0.01,
        "Probability that a window starts with a fresh state, not with the state of the window before it. This teaches "
        "the model to begin a text.",
        group="advanced",
        minimum=0,
        maximum=1,
    )
    min_count: int | None = setting(
        None,
        MIN_COUNT + "  [default: the tokenizer's suggestion: 2 for word, 1 for char and space]",
        group="text",
        minimum=1,
        shapes_model=True,
        tokens_only=True,
    )
    encoding: str = setting("utf-8", "Encoding of the text.", group="text")
    sample_every: int = setting(
        250,
        "Sample a text every N steps; it is shown and kept in the run. 0 disables samples.",
        group="output",
        minimum=0,
        changeable=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tie_weights and self.embedding_size == 0:
            raise SettingError("tie_weights", "needs embeddings, and with `embedding_size` 0 there are none")
        if self.embedding_updates == READ_ROWS and self.tie_weights:
            raise SettingError(
                "embedding_updates",
                f"{READ_ROWS} is of no use with `tie_weights`: embeddings that are output weights change at every step",
            )
        check_encoding(self.encoding)


@dataclasses.dataclass(frozen=True)
class SequenceSettings(TrainingSettings):
    """Everything that a user can set of the training of a model of whole sequences."""

    cell: str | None = setting(
        None,
        "Name of the recurrent cell; 'seqlm plugins' lists them.  [default: bilstm; lstm if values are predicted]",
        group="model",
        shapes_model=True,
    )
    hidden_size: Sizes = setting(
        128,
        HIDDEN_SIZE,
        group="model",
        minimum=1,
        maximum=LARGEST_SIZE,
        shapes_model=True,
    )
    output_layer: str = setting(
        SOFTMAX,
        "How the labels of a sequence are predicted: each by itself, by a softmax, or all together, by a conditional "
        "random field (crf), which learns what labels follow each other.",
        group="model",
        choices=(SOFTMAX, CRF),
        shapes_model=True,
    )
    constrain: bool = setting(
        False,
        "Predict no sequences of labels that break the scheme of chunks, which is BIO or BIOES, such as I after O.",
        group="model",
    )
    dropout: float | None = setting(
        None, DROPOUT + "  [default: 0.3; 0 if values are predicted]", group="model", minimum=0, below=1
    )
    dropout_masks: str = setting(
        PER_ELEMENT, DROPOUT_MASKS, group="advanced", choices=(LOCKED, PER_ELEMENT), of_older_runs=PER_ELEMENT
    )
    batch_size: int = setting(32, "Number of sequences in a batch.", group="training", minimum=1, maximum=LARGEST_SIZE)
    activation_penalty: float = setting(0.0, ACTIVATION_PENALTY, group="advanced", minimum=0)
    weight_decay: float = setting(0.0, WEIGHT_DECAY, group="advanced", minimum=0)
    epochs: int = setting(20, EPOCHS, group="training", minimum=1, changeable=UNDER_A_SCHEDULE_WITHOUT_END)
    min_count: int = setting(
        2,
        MIN_COUNT + " With 1 the model learns nothing about unknown tokens.",
        group="text",
        minimum=1,
        shapes_model=True,
        tokens_only=True,
    )
    validation_fraction: float = setting(
        0.1,
        "Share of the sequences, drawn at random, that is kept for validation. 0 keeps nothing.",
        group="text",
        minimum=0,
        below=1,
    )
    best_by: str | None = setting(
        None,
        "What tells on the validation part which epoch is the best: the lowest loss, or the highest score, which is F1 "
        "of chunks if the labels mark chunks, and accuracy otherwise.  [default: score; loss if values are predicted]",
        group="training",
        choices=(BY_LOSS, BY_SCORE),
        of_older_runs=BY_LOSS,
    )
    lowercase: bool = setting(
        False,
        "Read tokens as a whole in small letters. Their characters and shapes are read as they are.",
        group="text",
        shapes_model=True,
        tokens_only=True,
    )
    shapes: bool = setting(
        False,
        "Also read how each token is written: Xxx for London, XX for IBM, dd for 1984.",
        group="model",
        shapes_model=True,
        tokens_only=True,
    )
    column_embedding_size: int = setting(
        32,
        "Size of the embeddings of further columns, and of shapes.",
        group="model",
        minimum=1,
        maximum=LARGEST_SIZE,
        shapes_model=True,
        tokens_only=True,
    )
    tune_vectors: bool = setting(
        False,
        "Change the vectors of `vectors` in training, as far as their tokens are in the vocabulary.",
        group="model",
        shapes_model=True,
        tokens_only=True,
    )
    char_cell: str | None = setting(
        None,
        "Name of a recurrent cell that also reads the characters of each token.  [default: none; tokens are read as a "
        "whole]",
        group="model",
        shapes_model=True,
        tokens_only=True,
    )
    char_cell_options: dict[str, Any] = setting(
        {}, "Option of the character cell.", group="model", shapes_model=True, tokens_only=True, needs="char_cell"
    )
    char_hidden_size: int = setting(
        32,
        "Number of units of the character cell in each direction, and size of the character embeddings.",
        group="model",
        minimum=1,
        maximum=LARGEST_SIZE,
        shapes_model=True,
        tokens_only=True,
        needs="char_cell",
    )
