"""The names and shapes of parameters, computed without MXNet as far as the cells have native formulas.

The parameters themselves are made by :mod:`seqlm_core.model.language_network` and
:mod:`seqlm_core.model.sequence_network`. Tests compare them.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping

from seqlm_core.model.architecture import LanguageArchitecture, SequenceArchitecture
from seqlm_core.native import layer_shapes
from seqlm_core.storage.quantization import Matrix


def check_shapes(weights: Mapping[str, Matrix], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise :class:`ValueError` unless the weights have these names and shapes."""
    for name in sorted(weights.keys() - shapes.keys()):
        raise ValueError(f"the model has no parameter {reprlib.repr(name)}")
    for name, shape in shapes.items():
        if name not in weights:
            raise ValueError(f"parameter {name!r} is missing")
        if weights[name].shape != shape:
            raise ValueError(f"parameter {name!r} has shape {weights[name].shape}, and must have {shape}")


def check_parameters(weights: Mapping[str, Matrix], architecture: LanguageArchitecture, formula: str | None) -> None:
    """Check that the weights of a language model fit its architecture.

    Args:
        weights: the arrays by name.
        architecture: the sizes of the model.
        formula: the native formula that computes the cell's layers, see :class:`~seqlm_core.plugins.specs.CellSpec`;
            None if the cell decides itself which parameters a layer has.

    Raises:
        ValueError: a parameter is missing, is unknown, or has a wrong shape.
    """
    check_shapes(weights, language_shapes(architecture, formula, weights))


def check_sequence_parameters(
    weights: Mapping[str, Matrix], architecture: SequenceArchitecture, formula: str | None, char_formula: str | None
) -> None:
    """Check that the weights of a sequence model fit its architecture.

    Args:
        weights: the arrays by name.
        architecture: the sizes of the model.
        formula: as for :func:`check_parameters`.
        char_formula: the same of the cell that reads characters.

    Raises:
        ValueError: a parameter is missing, is unknown, or has a wrong shape.
    """
    check_shapes(weights, sequence_shapes(architecture, formula, char_formula, weights))


def language_shapes(
    architecture: LanguageArchitecture, formula: str | None, weights: Mapping[str, Matrix] | None = None
) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all parameters of a language model.

    Args:
        architecture: the sizes.
        formula: the native formula of the layers; None if there is none.
        weights: arrays by name, whose names and shapes are taken as they are for layers without a formula.
    """
    return {**_outer_shapes(architecture), **_shapes_of_layers(formula, _layer_sizes(architecture), weights)}


def sequence_shapes(
    architecture: SequenceArchitecture,
    formula: str | None,
    char_formula: str | None,
    weights: Mapping[str, Matrix] | None = None,
) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all parameters of a sequence model.

    Args:
        architecture: the sizes and kinds.
        formula: the native formula of the layers; None if there is none.
        char_formula: that of the layer that reads characters.
        weights: see :func:`language_shapes`.
    """
    a = architecture
    sides = 1 + a.bidirectional
    shapes: dict[str, tuple[int, ...]] = {}
    lowest = a.input_size
    if a.inputs == "tokens":
        if a.embedding_size:
            shapes["input.weight" if a.reads_tokens_only else "input.tokens.weight"] = (a.input_size, a.embedding_size)
        for number, entries in enumerate(a.columns):
            shapes[f"input.columns.{number}.weight"] = (entries, a.column_embedding_size)
        lowest = (a.embedding_size or a.input_size) + len(a.columns) * a.column_embedding_size
        lowest += sum(a.vectors[1:] if a.tuned_vectors else a.vectors)
    if a.characters:
        shapes["input.characters.weight"] = (a.characters, a.char_hidden_size)
        lowest += a.char_hidden_size * (1 + a.char_bidirectional)
        of_characters = {
            f"input.encoder.{stack}.0.": (a.char_hidden_size, a.char_hidden_size)
            for stack in _stacks(a.char_bidirectional)
        }
        shapes.update(_shapes_of_layers(char_formula, of_characters, weights))
    sizes = list(zip([lowest, *(sides * size for size in a.hidden_sizes)], a.hidden_sizes))
    layers = {f"encoder.{stack}.{k}.": own for stack in _stacks(a.bidirectional) for k, own in enumerate(sizes)}
    shapes.update(_shapes_of_layers(formula, layers, weights))
    scores = "head.scores." if a.crf else "head."
    shapes[f"{scores}weight"] = (a.output_size, sides * a.hidden_sizes[-1])
    shapes[f"{scores}bias"] = (a.output_size,)
    if a.crf:
        shapes["head.chain.first"] = shapes["head.chain.last"] = (a.output_size,)
        shapes["head.chain.transitions"] = (a.output_size, a.output_size)
    return shapes


def _stacks(bidirectional: bool) -> list[str]:
    return ["forward_stack", "backward_stack"] if bidirectional else ["forward_stack"]


def _shapes_of_layers(
    formula: str | None, sizes: Mapping[str, tuple[int, int]], weights: Mapping[str, Matrix] | None
) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the parameters of layers.

    Args:
        formula: the native formula of all layers; None if there is none.
        sizes: input size and units of each layer; the keys are what the names of its parameters begin with.
        weights: see :func:`language_shapes`.
    """
    if formula is None:
        beginnings = tuple(sizes)
        return {name: array.shape for name, array in (weights or {}).items() if name.startswith(beginnings)}
    return {
        f"{layer}{name}": shape
        for layer, (channels, units) in sizes.items()
        for name, shape in layer_shapes(formula, units, channels).items()
    }


def _outer_shapes(a: LanguageArchitecture) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all parameters except those of the recurrent layers."""
    classes = a.cutoffs[0] + len(a.cutoffs) if a.cutoffs else a.vocabulary_size
    shapes: dict[str, tuple[int, ...]] = {"head.bias": (classes,)}
    if a.embedding_size:
        shapes["input.weight"] = (a.vocabulary_size, a.embedding_size)
    if not a.tie_weights:
        shapes["head.weight"] = (classes, a.head_size)
    elif a.cutoffs:
        shapes["head.cluster_weight"] = (len(a.cutoffs), a.embedding_size)
    if a.has_projection:
        shapes["head.projection_weight"] = (a.embedding_size, a.head_size)
        shapes["head.projection_bias"] = (a.embedding_size,)
    for number, cluster in enumerate(a.clusters):
        name = f"head.cluster{number}."
        shapes[f"{name}bias"] = (cluster.tokens,)
        if cluster.size:
            shapes[f"{name}weight"] = (cluster.tokens, cluster.size)
            shapes[f"{name}projection_weight"] = (cluster.size, a.head_size)
            shapes[f"{name}projection_bias"] = (cluster.size,)
    return shapes


def _layer_sizes(a: LanguageArchitecture) -> dict[str, tuple[int, int]]:
    """Return input size and units of each layer; the keys are what the names of its parameters begin with."""
    lowest = a.embedding_size or a.vocabulary_size
    sizes = list(zip([lowest, *a.hidden_sizes], a.hidden_sizes))
    return {f"{stack}.{k}.": own for stack in _stacks(a.bidirectional) for k, own in enumerate(sizes)}
