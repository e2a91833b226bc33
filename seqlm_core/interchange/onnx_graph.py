"""A graph of ONNX operators that is put together node by node (https://onnx.ai/onnx/operators)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqlm_core.errors import UsageError
from seqlm_core.storage.quantization import Matrix, floats
from seqlm_core.version import __version__

OPSET = 17
IR_VERSION = 8
"""The version of the file format that came with this set of operators, which old programs read too."""
METADATA = "seqlm"
"""The key of what goes with the weights, among the metadata of a file."""
MOST_BYTES = 2_000_000_000
"""A file of protocol buffers holds at most 2 GiB; larger weights go to a file beside it."""


def import_onnx() -> Any:
    """Return the package onnx.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise UsageError("ONNX needs the package onnx, which is not installed: pip install 'seqlm[onnx]'") from error
    return onnx


class Graph:
    """A graph of operators.

    Values are known by their names. Nodes are added in the order in which they compute.

    Raises:
        UsageError: the package onnx is not installed.
    """

    def __init__(self) -> None:
        self._onnx = import_onnx()
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._names: dict[int, str] = {}
        self._arrays: list[np.ndarray] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    @property
    def bytes(self) -> int:
        """The size of all constants."""
        return sum(array.nbytes for array in self._arrays)

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        """Add an input, and return its name; the sizes of the shape are numbers, or names of sizes."""
        self._inputs.append(self._described(name, dtype, shape))
        return name

    def output(self, value: str, name: str, dtype: Any, shape: Sequence[int | str]) -> None:
        """Make a value an output."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._described(name, dtype, shape))

    def constant(self, array: np.ndarray, name: str = "constant") -> str:
        """Return the name of a constant; the same array is added once."""
        if id(array) not in self._names:
            unique = f"{name}_{len(self._arrays)}"
            self._arrays.append(array)  # so that no other array gets its id
            self._names[id(array)] = unique
            self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), unique))
        return self._names[id(array)]

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output, and return the output's name."""
        (name,) = self.add_many(operator, 1, *inputs, **attributes)
        return name

    def add_many(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add an operator, and return the names of its first outputs."""
        names = [f"{operator.lower()}_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def cast(self, value: str, dtype: Any) -> str:
        """Return a value as another type."""
        return self.add("Cast", value, to=self._type(dtype))

    def integers(self, *numbers: int) -> str:
        """Return a constant list of integers, such as axes."""
        return self.constant(np.array(numbers, np.int64), "integers")

    def slice(self, value: str, axis: int, begin: int, end: int | None = None) -> str:
        """Return a part of a value along one axis; a negative number counts from the end."""
        last = np.iinfo(np.int64).max if end is None else end
        return self.add("Slice", value, self.integers(begin), self.integers(last), self.integers(axis))

    def affine(self, value: str, weight: Matrix, bias: np.ndarray) -> str:
        """Return ``value @ weight.T + bias``, for a weight ``(outputs, inputs)``."""
        transposed = self.add("Transpose", self.constant(floats(weight), "weight"), perm=[1, 0])
        return self.add("Add", self.add("MatMul", value, transposed), self.constant(bias, "bias"))

    def save(self, path: Path, description: Mapping[str, Any]) -> None:
        """Write the graph into a file, with a description as JSON in its metadata."""
        onnx = self._onnx
        graph = onnx.helper.make_graph(self._nodes, path.stem, self._inputs, self._outputs, self._constants)
        model = onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="seqlm",
            producer_version=__version__,
        )
        onnx.helper.set_model_props(model, {METADATA: json.dumps(description)})
        beside = {"save_as_external_data": True, "location": f"{path.name}.data"} if self.bytes > MOST_BYTES else {}
        onnx.save_model(model, str(path), **beside)

    def _described(self, name: str, dtype: Any, shape: Sequence[int | str]) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, self._type(dtype), list(shape))

    def _type(self, dtype: Any) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
