"""The sizes of a language model, and their defaults."""

from __future__ import annotations

import dataclasses
from typing import Any

from seqlm_core.errors import RunError
from seqlm_core.settings import Settings

# Measured on the sample text (59 characters): embeddings 1.56 nats of validation loss, one-hot vectors 1.64.
LARGEST_ONE_HOT_VOCABULARY = 32


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The sizes that make a language model's shapes.

    Attributes:
        vocabulary_size: tokens, ``<unk>`` included.
        hidden_size: units in each layer and direction.
        layers: recurrent layers.
        embedding_size: 0 reads tokens one-hot.
        bidirectional: has a second stack that reads from the right.
        tie_weights: the embeddings are the output weights too.
    """

    vocabulary_size: int
    hidden_size: int
    layers: int
    embedding_size: int
    bidirectional: bool
    tie_weights: bool

    @classmethod
    def choose(cls, settings: Settings, bidirectional: bool, vocabulary_size: int) -> Architecture:
        """Return the sizes for a vocabulary, with the default for the embedding size."""
        embedding_size = settings.embedding_size
        if embedding_size is None:
            if settings.tie_weights:
                embedding_size = settings.hidden_size
            elif vocabulary_size - 1 <= LARGEST_ONE_HOT_VOCABULARY:  # <unk> does not count
                embedding_size = 0
            else:
                embedding_size = min(settings.hidden_size, vocabulary_size)
        return cls(
            vocabulary_size=vocabulary_size,
            hidden_size=settings.hidden_size,
            layers=settings.layers,
            embedding_size=embedding_size,
            bidirectional=bidirectional,
            tie_weights=settings.tie_weights,
        )

    @classmethod
    def from_json(cls, values: Any) -> Architecture:
        """Return the architecture that a run recorded.

        Raises:
            RunError: the values are not one.
        """
        try:
            architecture = cls(**values)
        except TypeError as error:
            raise RunError(f"the run's architecture is damaged: {error}") from error
        for field in dataclasses.fields(cls):
            value = getattr(architecture, field.name)
            smallest = 0 if field.name == "embedding_size" else 1
            if type(value).__name__ != field.type or (field.type == "int" and value < smallest):
                raise RunError(f"the run's architecture is damaged: {field.name} is {value!r}")
        return architecture
