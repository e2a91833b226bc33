"""Models with random weights, as generation needs them, made without MXNet."""

from __future__ import annotations

import copy
import string

import numpy as np

import seqlm_core as seqlm
from seqlm_core.generation.native_network import NativeNetwork
from seqlm_core.generation.network import StepNetwork
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.native import GATES
from seqlm_core.native.generation import generation_library
from seqlm_core.plugins.options import make_options
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.runs.stored_weights import compressed


def vocabulary_of(size: int) -> Vocabulary:
    """Return one of so many characters and ``<unk>``, each more frequent than the one before it."""
    return Vocabulary(list(string.printable[: size - 1]), list(range(size)))


class RandomModel:
    """A language model with weights drawn from a seed, of about the size that training gives them.

    Args:
        cell: one of the built-in ones.
        units: in each layer and direction, or a tuple with those of each layer.
        layers: recurrent layers; as many as ``units`` has if that is a tuple.
        vocabulary_size: tokens, ``<unk>`` included.
        embedding_size: 0 reads tokens one-hot.
        tie_weights: the embeddings are the output weights too; with an ``embedding_size``, by a projection.
        seed: the same gives the same weights.
        options: of the cell.
        cutoffs: of the clusters of an adaptive softmax; none has none.
    """

    def __init__(
        self,
        cell: str = "lstm",
        units: int | tuple[int, ...] = 16,
        layers: int = 1,
        vocabulary_size: int = 30,
        embedding_size: int = 0,
        tie_weights: bool = False,
        seed: int = 1,
        options: tuple = (),
        cutoffs: tuple[int, ...] = (),
    ) -> None:
        self.spec = seqlm.installed_plugins().cells.get(cell)
        self.options = make_options(self.spec, dict(options))
        sizes = units if isinstance(units, tuple) else (units,) * layers
        if tie_weights and not embedding_size:
            embedding_size = sizes[-1]
        sides = 1 + self.spec.bidirectional
        self.architecture = LanguageArchitecture(
            vocabulary_size, units, len(sizes), embedding_size, sides == 2, tie_weights, cutoffs
        )
        self.formula = self.spec.native_formula(self.options)
        random = np.random.default_rng(seed)

        def normal(scale: float, *shape: int) -> np.ndarray:
            return random.normal(0, scale, shape).astype(np.float32)

        classes = cutoffs[0] + len(cutoffs) if cutoffs else vocabulary_size
        width = sides * sizes[-1]
        self.weights = {"head.bias": normal(1, classes)}
        if embedding_size:
            self.weights["input.weight"] = normal(2 / np.sqrt(embedding_size), vocabulary_size, embedding_size)
        if not tie_weights:
            self.weights["head.weight"] = normal(2 / np.sqrt(sizes[-1]), classes, width)
        elif embedding_size != sizes[-1]:
            self.weights["head.projection_weight"] = normal(2 / np.sqrt(sizes[-1]), embedding_size, width)
            self.weights["head.projection_bias"] = normal(0.3, embedding_size)
        if tie_weights and cutoffs:
            self.weights["head.cluster_weight"] = normal(2 / np.sqrt(embedding_size), len(cutoffs), embedding_size)
        for number, cluster in enumerate(self.architecture.clusters):
            name = f"head.cluster{number}."
            self.weights[f"{name}bias"] = normal(1, cluster.tokens)
            if cluster.size:
                self.weights[f"{name}weight"] = normal(1, cluster.tokens, cluster.size)
                self.weights[f"{name}projection_weight"] = normal(2 / np.sqrt(sizes[-1]), cluster.size, width)
                self.weights[f"{name}projection_bias"] = normal(0.3, cluster.size)
        for stack in ["forward_stack", "backward_stack"][:sides]:
            for layer, size in enumerate(sizes):
                rows = GATES[self.formula] * size
                channels = sizes[layer - 1] if layer else embedding_size or vocabulary_size
                self.weights |= {
                    f"{stack}.{layer}.i2h_weight": normal(1 / np.sqrt(channels if layer else 1), rows, channels),
                    f"{stack}.{layer}.i2h_bias": normal(0.3, rows),
                    f"{stack}.{layer}.h2h_weight": normal(0.7 / np.sqrt(size), rows, size),
                    f"{stack}.{layer}.h2h_bias": normal(0.3, rows),
                }

    def compressed(self) -> RandomModel:
        """Return the same model, its matrices with 8 bits a weight."""
        model = copy.copy(self)
        model.weights = compressed(self.weights)
        return model

    def step_network(self) -> StepNetwork:
        return StepNetwork(self.architecture, self.spec, self.options, self.weights)

    def native_network(self, instruction_set: str | None = None) -> NativeNetwork:
        return NativeNetwork(
            self.architecture,
            self.spec,
            self.options,
            self.weights,
            generation_library(),
            self.formula,
            instruction_set,
        )
