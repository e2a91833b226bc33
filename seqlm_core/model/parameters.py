"""The names and shapes of parameters; those of a language model are computed here without MXNet, as far as possible.

The parameters themselves are made by :mod:`seqlm_core.model.language_network`. A test compares the two.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping

from seqlm_core.model.architecture import LanguageArchitecture
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
    shapes = _outer_shapes(architecture)
    layers = _layer_sizes(architecture)
    if formula is None:
        for name in weights:
            layer = re.match(r"\w+_stack\.\d+\.", name)
            if layer is not None and layer[0] in layers:
                shapes[name] = weights[name].shape
    else:
        for layer_name, (channels, units) in layers.items():
            inner = layer_shapes(formula, units, channels)
            shapes.update({f"{layer_name}{name}": shape for name, shape in inner.items()})
    check_shapes(weights, shapes)


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
    stacks = ["forward_stack", "backward_stack"] if a.bidirectional else ["forward_stack"]
    lowest = a.embedding_size or a.vocabulary_size
    sizes = list(zip([lowest, *a.hidden_sizes], a.hidden_sizes))
    return {f"{stack}.{k}.": of_layer for stack in stacks for k, of_layer in enumerate(sizes)}
