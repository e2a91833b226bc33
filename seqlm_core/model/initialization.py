"""Initial weights, which are a function of the seed and each parameter's name."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.engine.randomness import mxnet_seed
from seqlm_core.errors import PluginError


@mx.init.register
class GateOrthogonal(mx.init.Initializer):
    """Orthogonal initial values for recurrent weights: one square matrix for each gate (Saxe et al. 2013)."""

    def __init__(self, gates: int) -> None:
        super().__init__(gates=gates)
        self.gates = gates

    def _init_weight(self, name: str, array: Any) -> None:
        size = array.shape[0] // self.gates
        for gate in range(self.gates):
            drawn = mx.nd.random.uniform(-1, 1, shape=(size, array.shape[1])).asnumpy()
            array[gate * size : (gate + 1) * size] = closest_orthogonal(drawn).astype(np.float32)


def closest_orthogonal(matrix: np.ndarray) -> np.ndarray:
    """Return the orthogonal matrix that is closest to a matrix: the orthogonal factor of its polar decomposition.

    It is unique. Singular vectors are not: their signs depend on the release of NumPy. It is computed in float64, so
    that in float32 it is the same on all processors, but for a rare last digit.

    Args:
        matrix: ``(rows, columns)``, of full rank. If it is not square, the shorter of rows and columns are orthonormal.
    """
    left, _, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    return left @ right


@mx.init.register
class GateBias(mx.init.Initializer):
    """Biases that are zero for all gates except one."""

    def __init__(self, gates: int, gate: int, value: float) -> None:
        super().__init__(gates=gates, gate=gate, value=value)
        self.gates, self.gate, self.value = gates, gate, value

    def _init_weight(self, name: str, array: Any) -> None:
        size = array.shape[0] // self.gates
        array[:] = 0
        array[self.gate * size : (self.gate + 1) * size] = self.value


@mx.init.register
class Default(mx.init.Xavier):
    """The uniform distribution of Glorot and Bengio (2010) for matrices; zeros for vectors, such as biases."""

    def _init_weight(self, name: str, array: Any) -> None:
        if len(array.shape) < 2 or name.endswith("bias"):
            array[:] = 0
        else:
            super()._init_weight(name, array)


def initialize(block: gluon.Block, seed: int, device: mx.Context) -> None:
    """Give every parameter of ``block`` its initial value.

    A parameter's own initializer is used if it has one, else :class:`Default`. The values depend only on the seed and
    the parameter's name in the block, not on other random numbers that were drawn before.

    Raises:
        PluginError: the initializer of a parameter refuses its shape.
    """
    for name, parameter in sorted(unique_parameters(block).items()):
        mx.random.seed(mxnet_seed(seed, 0, f"initial {name}"))
        try:
            parameter.initialize(default_init=Default(), ctx=device, force_reinit=True)
        except ValueError as error:
            raise PluginError(f"parameter {name} of the cell cannot be initialized: {error}") from error


def unique_parameters(block: gluon.Block) -> dict[str, Any]:
    """Return the parameters of ``block`` by the path of attributes to each; a shared one has its first path."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for name, parameter in block._collect_params_with_prefix().items():
        if id(parameter) not in seen:
            seen.add(id(parameter))
            found[name] = parameter
    return found
