"""Codecs turn tokens, labels and values into the arrays that a network reads and predicts, and back."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seqlm_core.errors import UsageError
from seqlm_core.sequences.examples import NOT_COUNTED, Example, Label
from seqlm_core.sequences.given_vectors import VectorSource
from seqlm_core.sequences.token_codec import TokenCodec
from seqlm_core.storage.schema import LABEL, NUMBER, check, one_of

UNKNOWN_LABEL = -1


@dataclasses.dataclass(frozen=True)
class LabelCodec:
    """Turns labels into ids, and ids into labels.

    Attributes:
        labels: the labels, sorted by descending count in the training part, then by label. A label's id is its index.
    """

    labels: list[Label]

    @classmethod
    def from_labels(cls, labels: Iterable[Label | None]) -> LabelCodec:
        """Return the codec for the labels of the training part."""
        counts = collections.Counter(label for label in labels if label is not NOT_COUNTED)
        return cls(sorted(counts, key=lambda label: (-counts[label], str(label), isinstance(label, int))))

    @property
    def size(self) -> int:
        """The number of labels."""
        return len(self.labels)

    def encode(self, labels: Iterable[Label | None]) -> np.ndarray:
        """Return ids, int32. Labels that are not in the training part, and None, become :data:`UNKNOWN_LABEL`."""
        ids = {label: i for i, label in enumerate(self.labels)}
        found = (UNKNOWN_LABEL if label is NOT_COUNTED else ids.get(label, UNKNOWN_LABEL) for label in labels)
        return np.fromiter(found, dtype=np.int32)

    def decode(self, ids: np.ndarray) -> list[Label]:
        """Return the labels of ids ``(time,)``."""
        return [self.labels[i] for i in ids]

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` makes the same codec."""
        return {"labels": self.labels}

    @classmethod
    def from_json(cls, values: Any) -> LabelCodec:
        """Make the codec from what :meth:`to_json` returned. Anything else raises ``ValueError``."""
        check(values, {"labels": [LABEL, ...]}, "the codec of labels")
        labels = values["labels"]
        if len(set(labels)) != len(labels):
            raise ValueError("a label occurs twice")
        return cls(labels)


@dataclasses.dataclass(frozen=True)
class ValueCodec:
    """Standardizes values: subtracts the mean of each channel, and divides by its standard deviation.

    Attributes:
        mean: the mean of each channel in the training part, ``(channels,)``.
        scale: the standard deviation of each channel, ``(channels,)``; 1 where it is 0.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def from_sequences(cls, sequences: Sequence[np.ndarray]) -> ValueCodec:
        """Return the codec for arrays ``(time, channels)`` of the training part. ``nan`` is left out.

        Raises:
            UsageError: the values are too large to compute their variance.
        """
        values = np.concatenate([sequence for sequence in sequences if len(sequence)])
        with np.errstate(over="ignore", invalid="ignore"):
            scale = np.nanstd(values, axis=0)
        if not np.isfinite(scale).all():
            raise UsageError("the values are so large that their variance cannot be computed; scale them down")
        # Because of rounding, the deviation of equal values may be a little above 0.
        varies = (scale > 0) & (np.nanmax(values, axis=0) > np.nanmin(values, axis=0))
        return cls(np.nanmean(values, axis=0), np.where(varies, scale, 1.0))

    @property
    def size(self) -> int:
        """The number of channels."""
        return len(self.mean)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the standardized values ``(time, channels)`` as float32.

        Raises:
            UsageError: they have another number of channels, or are too far from the mean for float32.
        """
        if not len(values):
            return np.zeros((0, self.size), dtype=np.float32)
        if values.shape[1] != self.size:
            raise UsageError(f"a sequence has {values.shape[1]} channels, and the model has {self.size}")
        with np.errstate(over="ignore"):
            standardized = ((values - self.mean) / self.scale).astype(np.float32)
        if np.isinf(standardized).any():
            raise UsageError(
                f"a sequence has values up to {np.nanmax(abs(values)):.3g}, too far from those of the training"
            )
        return standardized

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Return standardized values in their original units, as float64."""
        return values.astype(np.float64) * self.scale + self.mean

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` makes the same codec."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, values: Any) -> ValueCodec:
        """Make the codec from what :meth:`to_json` returned. Anything else raises ``ValueError``."""
        check(values, {"mean": [NUMBER, ...], "scale": [NUMBER, ...]}, "the codec of values")
        mean, scale = (np.array(values[name], dtype=np.float64) for name in ("mean", "scale"))
        if mean.shape != scale.shape or (scale <= 0).any():
            raise ValueError("mean and scale must have the same number of channels, and scale must be above 0")
        return cls(mean, scale)


@dataclasses.dataclass(frozen=True)
class Codecs:
    """The codecs of a sequence model.

    Attributes:
        inputs: the codec of the inputs.
        outputs: the codec of the outputs.
    """

    inputs: TokenCodec | ValueCodec
    outputs: LabelCodec | ValueCodec

    @classmethod
    def from_examples(
        cls,
        examples: Sequence[Example],
        inputs: str,
        outputs: str,
        *,
        min_count: int = 1,
        max_vocabulary: int = 0,
        by_characters: bool = False,
        **of_tokens: Any,
    ) -> Codecs:
        """Return the codecs for the examples of the training part; see :meth:`TokenCodec.from_sequences`.

        Raises:
            UsageError: there is nothing to learn in the examples.
        """
        read = [sequence for sequence, _ in examples]
        targets = [target for _, target in examples]
        if not any(len(sequence) for sequence in read):
            raise UsageError("there are no examples to train on, or their sequences are empty")
        codec: TokenCodec | ValueCodec
        if inputs == "tokens":
            codec = TokenCodec.from_sequences(read, min_count, max_vocabulary, by_characters, **of_tokens)
        else:
            codec = ValueCodec.from_sequences(read)
        if outputs == "values":
            if all(np.isnan(target).any(axis=1).all() for target in targets):
                raise UsageError("no time step of the training examples counts: all of their values are nan")
            return cls(codec, ValueCodec.from_sequences(targets))
        labels = LabelCodec.from_labels(targets if outputs == "label" else [x for row in targets for x in row])
        if labels.size < 2:
            raise UsageError(
                f"the training examples have {labels.labels[0]!r} as their only label: nothing to learn"
                if labels.labels
                else "the training examples have no labels"
            )
        return cls(codec, labels)

    def with_sources(self, sources: Sequence[VectorSource]) -> Codecs:
        """Return the same codecs, with what gives vectors to tokens."""
        if not isinstance(self.inputs, TokenCodec):
            raise TypeError("only tokens have vectors")
        return dataclasses.replace(self, inputs=dataclasses.replace(self.inputs, sources=tuple(sources)))

    @property
    def described_sources(self) -> dict[str, dict[str, str]]:
        """What a run records of what gives vectors to tokens."""
        sources = self.inputs.sources if isinstance(self.inputs, TokenCodec) else ()
        return {name: values for source in sources for name, values in source.described.items()}

    @property
    def sizes(self) -> dict[str, Any]:
        """The kinds and sizes in a model's architecture that follow from the codecs."""
        codec = self.inputs
        sizes = {"inputs": _KINDS[type(codec)], "input_size": codec.size, "output_size": self.outputs.size}
        if not isinstance(codec, TokenCodec):
            return {**sizes, "characters": 0, "columns": (), "vectors": ()}
        return {
            **sizes,
            "characters": 0 if codec.characters is None else len(codec.characters),
            "columns": codec.column_sizes,
            "vectors": tuple(source.size for source in codec.sources),
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` makes the same codecs."""
        return {
            side: {"kind": _KINDS[type(codec)], **codec.to_json()}
            for side, codec in (("inputs", self.inputs), ("outputs", self.outputs))
        }

    @classmethod
    def from_json(cls, values: Any) -> Codecs:
        """Make the codecs from what :meth:`to_json` returned.

        Raises:
            ValueError: the values do not describe codecs.
        """
        kinds = {"inputs": one_of("tokens", "values"), "outputs": one_of("labels", "values")}
        check(values, {side: {"kind": kind} for side, kind in kinds.items()}, "what it holds")
        classes = {name: kind for kind, name in _KINDS.items()}
        inputs, outputs = (classes[values[side]["kind"]].from_json(values[side]) for side in kinds)
        return cls(inputs, outputs)


_KINDS: dict[Any, str] = {TokenCodec: "tokens", LabelCodec: "labels", ValueCodec: "values"}
