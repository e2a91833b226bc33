"""The weights of a language model's output layer, by the names that they have in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.native.output_parameters import OutputParameters, Pair
from seqlm_core.storage.quantization import part, stacked


def output_parameters(architecture: LanguageArchitecture, weights: Mapping[str, Any]) -> OutputParameters:
    """Return the weights of the output layer.

    Args:
        architecture: the sizes of the model.
        weights: its parameters by name; matrices as floats or with 8 bits.

    Raises:
        KeyError: a parameter is missing.
    """
    projection = None
    if architecture.has_projection:
        projection = weights["head.projection_weight"], weights["head.projection_bias"]
    weight = weights["input.weight" if architecture.tie_weights else "head.weight"]
    tied = weight
    if architecture.cutoffs and architecture.tie_weights:
        weight = stacked([part(weight, slice(architecture.cutoffs[0])), weights["head.cluster_weight"]])
    clusters: list[tuple[Pair | None, Pair]] = []
    for number, cluster in enumerate(architecture.clusters):
        name = f"head.cluster{number}."
        if cluster.size:
            own = weights[f"{name}projection_weight"], weights[f"{name}projection_bias"]
            clusters.append((own, (weights[f"{name}weight"], weights[f"{name}bias"])))
        else:
            clusters.append((None, (part(tied, slice(cluster.first, cluster.end)), weights[f"{name}bias"])))
    return OutputParameters(projection, (weight, weights["head.bias"]), clusters)
