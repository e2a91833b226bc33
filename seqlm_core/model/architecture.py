"""The sizes of a network, and their defaults."""

from __future__ import annotations

import dataclasses
import reprlib
from typing import Any, TypeVar

from seqlm_core.model.clusters import SHRINKING, Cluster, Cutoffs, chosen_cutoffs
from seqlm_core.settings.settings import ADAPTIVE, CRF, LanguageSettings, SequenceSettings
from seqlm_core.settings.sizes import Sizes, size_of_each
from seqlm_core.settings.training_settings import LARGEST_SIZE, TrainingSettings

# Larger vocabularies are embedded by default. On the sample text, which has 59 characters, the validation loss was 1.56
# nats with embeddings and 1.64 with one-hot vectors.
LARGEST_ONE_HOT_VOCABULARY = 32

LISTS = ("hidden_size", "cutoffs", "columns", "vectors")
"""What JSON holds as lists."""

ArchitectureT = TypeVar("ArchitectureT")
Lengths = tuple[int, ...]


class Layered:
    """The sizes of layers, however they are recorded."""

    hidden_size: Sizes
    layers: int

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """The number of units in each direction of each layer, the lowest first."""
        return size_of_each(self.hidden_size, self.layers)


@dataclasses.dataclass(frozen=True)
class LanguageArchitecture(Layered):
    """The sizes that determine the shapes of a language model's parameters.

    Attributes:
        vocabulary_size: number of tokens, ``<unk>`` included.
        hidden_size: number of units in each direction of each layer: one for all layers, or one for each.
        layers: number of recurrent layers.
        embedding_size: length of the embeddings; 0 means that tokens are one-hot vectors.
        bidirectional: whether there is a second stack, which reads from right to left.
        tie_weights: whether the embeddings are the output weights, too. Where they are of another size than the last
            layer, its outputs are projected to their size.
        cutoffs: of an adaptive softmax the id of the first token of each cluster; without any, all tokens are predicted
            at once.
    """

    vocabulary_size: int
    hidden_size: Sizes
    layers: int
    embedding_size: int
    bidirectional: bool
    tie_weights: bool
    cutoffs: Cutoffs = ()

    @property
    def has_projection(self) -> bool:
        """Whether a learnt linear projection is between the last layer and the output weights."""
        return self.tie_weights and self.embedding_size != self.hidden_sizes[-1]

    @property
    def adds_directions(self) -> bool:
        """Whether the hidden vectors of two directions are added, and not put side by side, for the output layer."""
        return self.tie_weights and not self.has_projection

    @property
    def head_size(self) -> int:
        """The length of the vectors that the output layer reads."""
        return self.hidden_sizes[-1] * (2 if self.bidirectional and not self.adds_directions else 1)

    @property
    def clusters(self) -> list[Cluster]:
        """The clusters of an adaptive softmax; none without one."""
        ends = [*self.cutoffs[1:], self.vocabulary_size]
        return [
            Cluster(first, end, 0 if self.tie_weights else max(1, self.head_size // SHRINKING**number))
            for number, (first, end) in enumerate(zip(self.cutoffs, ends), start=1)
        ]

    @classmethod
    def choose(cls, settings: LanguageSettings, bidirectional: bool, vocabulary_size: int) -> LanguageArchitecture:
        """Return the sizes for a vocabulary; an embedding size that the settings leave open gets its default."""
        embedding_size = settings.embedding_size
        if embedding_size is None and settings.tie_weights:
            embedding_size = settings.hidden_sizes[-1]
        return cls(
            vocabulary_size=vocabulary_size,
            hidden_size=settings.hidden_size,
            layers=settings.layers,
            embedding_size=_embedding_size(embedding_size, settings.hidden_sizes[0], vocabulary_size),
            bidirectional=bidirectional,
            tie_weights=settings.tie_weights,
            cutoffs=chosen_cutoffs(vocabulary_size) if settings.output_layer == ADAPTIVE else (),
        )


@dataclasses.dataclass(frozen=True)
class SequenceArchitecture(Layered):
    """The sizes and kinds that determine the shapes of a sequence model's parameters.

    Attributes:
        inputs: what the model reads: ``tokens`` or ``values``.
        outputs: what the model predicts: ``labels``, ``label`` or ``values``.
        input_size: number of tokens, ``<unk>`` included, or of values in each time step.
        output_size: number of labels, or of values in each time step.
        hidden_size: number of units in each direction of each layer: one for all layers, or one for each.
        layers: number of recurrent layers.
        embedding_size: length of the tokens' embeddings; 0 means that tokens are one-hot vectors.
        bidirectional: whether sequences are read from both ends.
        characters: number of different characters, the unknown one included; 0 if the model reads no characters.
        char_hidden_size: number of units in each direction of the layer that reads characters, and length of the
            characters' embeddings.
        char_bidirectional: whether characters are read from both ends of a token.
        crf: whether the labels of a sequence are predicted together, by a conditional random field.
        columns: number of entries of each further column of the tokens, the unknown one included.
        column_embedding_size: length of the embeddings of these entries.
        vectors: lengths of the vectors that tokens are given, one for each source.
        tuned_vectors: whether the first of these are changed in training, and are of the length of the embeddings.
    """

    inputs: str
    outputs: str
    input_size: int
    output_size: int
    hidden_size: Sizes
    layers: int
    embedding_size: int
    bidirectional: bool
    characters: int
    char_hidden_size: int
    char_bidirectional: bool
    crf: bool = False
    columns: Lengths = ()
    column_embedding_size: int = 0
    vectors: Lengths = ()
    tuned_vectors: bool = False

    @property
    def reads_tokens_only(self) -> bool:
        """Whether nothing is read of tokens but their ids."""
        return self.inputs == "tokens" and not (self.characters or self.columns or self.vectors)

    @classmethod
    def choose(
        cls,
        settings: SequenceSettings,
        *,
        inputs: str,
        outputs: str,
        input_size: int,
        output_size: int,
        bidirectional: bool,
        characters: int = 0,
        char_bidirectional: bool = False,
        columns: Lengths = (),
        vectors: Lengths = (),
    ) -> SequenceArchitecture:
        """Return the sizes for the data; an embedding size that the settings leave open gets its default."""
        embedding_size = 0
        if settings.tune_vectors:
            if not vectors:
                raise ValueError("the settings tune vectors, and there are none")
            embedding_size = vectors[0]
        elif inputs == "tokens":
            embedding_size = _embedding_size(settings.embedding_size, settings.hidden_sizes[0], input_size)
        return cls(
            inputs=inputs,
            outputs=outputs,
            input_size=input_size,
            output_size=output_size,
            hidden_size=settings.hidden_size,
            layers=settings.layers,
            embedding_size=embedding_size,
            bidirectional=bidirectional,
            characters=characters,
            char_hidden_size=settings.char_hidden_size if characters else 0,
            char_bidirectional=char_bidirectional,
            crf=settings.output_layer == CRF,
            columns=columns,
            column_embedding_size=settings.column_embedding_size if columns else 0,
            vectors=vectors,
            tuned_vectors=settings.tune_vectors,
        )


def architecture_from_json(kind: type[ArchitectureT], values: Any) -> ArchitectureT:
    """Return the architecture that a run recorded.

    Raises:
        ValueError: the values are no architecture of this kind.
    """
    may_be_zero = ("embedding_size", "characters", "char_hidden_size", "column_embedding_size")
    try:
        lists = {name: tuple(values[name]) for name in LISTS if isinstance(values.get(name), list)}
        values = {**values, **lists}
        architecture = kind(**values)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the recorded architecture is not valid: {error}") from error
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = getattr(architecture, field.name)
        if not _fits(value, str(field.type), smallest=0 if field.name in may_be_zero else 1):
            raise ValueError(f"the architecture's {field.name} is {reprlib.repr(value)}")
    return architecture


def _fits(value: Any, kind: str, smallest: int) -> bool:
    if kind == "Sizes":
        return all(_fits(size, "int", smallest) for size in (value if isinstance(value, tuple) else [value]))
    if kind == "Lengths":
        return isinstance(value, tuple) and all(_fits(length, "int", 1) for length in value)
    if kind == "Cutoffs":
        are_whole = isinstance(value, tuple) and all(_fits(cutoff, "int", 1) for cutoff in value)
        return are_whole and list(value) == sorted(set(value))
    return type(value).__name__ == kind and (kind != "int" or value >= smallest)


def check_same_architecture(recorded: Any, chosen: Any, settings: TrainingSettings) -> None:
    """Compare the architecture that a run recorded with the one that follows from its settings and data.

    So the sizes have the limits of the settings. Only an embedding size that was left to its default may differ, since
    earlier versions may have had other defaults.

    Raises:
        ValueError: a size or a kind differs.
    """
    for field in dataclasses.fields(chosen):
        value, wanted = getattr(recorded, field.name), getattr(chosen, field.name)
        by_default = settings.embedding_size is None and not getattr(recorded, "tie_weights", False)
        if field.name == "embedding_size" and by_default and 0 <= value <= LARGEST_SIZE:
            continue
        if value != wanted:
            raise ValueError(
                f"the architecture's {field.name} is {reprlib.repr(value)}, and settings, plugins and vocabulary make "
                f"it {reprlib.repr(wanted)}"
            )


def _embedding_size(given: int | None, lowest_size: int, vocabulary_size: int) -> int:
    if given is not None:
        return given
    if vocabulary_size - 1 <= LARGEST_ONE_HOT_VOCABULARY:  # <unk> does not count
        return 0
    return min(lowest_size, vocabulary_size)
