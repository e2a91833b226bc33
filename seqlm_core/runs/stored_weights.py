"""How a run's weights lie in a checkpoint: as they are, or matrices with 8 bits a weight and a scale for each row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqlm_core.storage.checkpoint import select
from seqlm_core.storage.quantization import Matrix, QuantizedMatrix

MODEL, QUANTIZED, SCALES = "model/", "quantized/", "scales/"
"""What the names of arrays begin with: weights as they are, whole numbers, and what one of these stands for."""

SHORTEST_ROW = 8
"""The fewest numbers in a row of a matrix that is worth 8 bits; with its scale it takes 12 bytes instead of 32."""


def compressed(weights: Mapping[str, np.ndarray]) -> dict[str, Matrix]:
    """Return weights with 8 bits where they are matrices of long enough rows. Biases and the like stay as they are."""
    return {
        name: QuantizedMatrix.of(array) if array.ndim == 2 and array.shape[1] >= SHORTEST_ROW else array
        for name, array in weights.items()
    }


def arrays_of(weights: Mapping[str, Matrix]) -> dict[str, np.ndarray]:
    """Return what a checkpoint holds of weights, by names that say what each array is."""
    arrays: dict[str, np.ndarray] = {}
    for name, weight in weights.items():
        if isinstance(weight, QuantizedMatrix):
            arrays.update({QUANTIZED + name: weight.values, SCALES + name: weight.scales})
        else:
            arrays[MODEL + name] = weight
    return arrays


def weights_in(arrays: Mapping[str, np.ndarray]) -> dict[str, Matrix]:
    """Return the weights that a checkpoint holds.

    Raises:
        ValueError: an array has another type than it must have, or is without the one that belongs to it.
    """
    weights: dict[str, Matrix] = {}
    for name, array in select(arrays, MODEL).items():
        if array.dtype != np.float32:
            raise ValueError(f"parameter {name!r} is of type {array.dtype}, and must be float32")
        weights[name] = array
    values, scales = select(arrays, QUANTIZED), select(arrays, SCALES)
    for name in sorted(values.keys() | scales.keys()):
        if name not in values or name not in scales or name in weights:
            raise ValueError(f"parameter {name!r} must have 8 bits and scales, or neither")
        try:
            weights[name] = QuantizedMatrix(values[name], scales[name])
        except ValueError as error:
            raise ValueError(f"parameter {name!r} {error}") from error
    return weights
