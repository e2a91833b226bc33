"""Calls of the native operators as MXNet makes them, with any arrays and in any order."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np

TYPES = {np.dtype(np.float32): 0, np.dtype(np.float64): 1, np.dtype(np.int32): 4}
_POINTER = ctypes.c_void_p


class Operator:
    """One state of a native operator with a state.

    Args:
        library: of the training kernels.
        name: of the operator.
        attributes: of the operator.
    """

    def __init__(self, library: ctypes.CDLL, name: str, attributes: Mapping[str, str]) -> None:
        self._library = library
        self._state = _POINTER()
        keys = (ctypes.c_char_p * len(attributes))(*[key.encode() for key in attributes])
        values = (ctypes.c_char_p * len(attributes))(*[value.encode() for value in attributes.values()])
        code = library._opCallCreateOpState(
            self._maker(name), keys, values, len(attributes), b"cpu", 0, None, None, 0, None, ctypes.byref(self._state)
        )
        assert code

    def forward(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> str | None:
        """Return the error, or None."""
        return self._call(1, inputs, outputs)

    def backward(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> str | None:
        """Return the error, or None."""
        return self._call(0, inputs, outputs)

    def close(self) -> None:
        """Delete the state."""
        self._library._opCallDestroyOpState(self._state)

    def _maker(self, name: str) -> ctypes.c_void_p:
        for index in range(self._library._opRegSize()):
            found, makers = ctypes.c_char_p(), ctypes.POINTER(_POINTER)()
            others = [_POINTER() for _ in range(14)]
            arguments = [ctypes.byref(other) for other in others]
            # All that an operator is made of; the tenth is how its states are made.
            self._library._opRegGet(index, ctypes.byref(found), *arguments[:8], ctypes.byref(makers), *arguments[8:14])
            if found.value == name.encode():
                return _POINTER(makers[0])
        raise LookupError(name)

    def _call(self, is_forward: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> str | None:
        nothing = [_POINTER()] * 7
        sparse = [*([_arrays(arrays, "stype") for arrays in (inputs, outputs)]), *[_POINTER()] * 8]
        code = self._library._opCallFStatefulCompute(
            is_forward, self._state, *_described(inputs), *_described(outputs), *nothing, *sparse, *[_POINTER()] * 2
        )
        if code:
            return None
        message = ctypes.c_char_p()
        assert self._library._msgSize() == 1
        self._library._msgGet(ctypes.c_int(0), ctypes.byref(message))
        return (message.value or b"").decode()


def _described(arrays: Sequence[np.ndarray]) -> list[object]:
    return [_arrays(arrays, what) for what in ("shape", "ndim", "data", "type", "id", "device", "device id")] + [
        len(arrays)
    ]


def _arrays(arrays: Sequence[np.ndarray], what: str) -> ctypes.Array:
    count = len(arrays)
    if what == "shape":
        shapes = [(ctypes.c_int64 * array.ndim)(*array.shape) for array in arrays]
        return (ctypes.POINTER(ctypes.c_int64) * count)(
            *[ctypes.cast(s, ctypes.POINTER(ctypes.c_int64)) for s in shapes]
        )
    if what == "data":
        return (_POINTER * count)(*[array.ctypes.data for array in arrays])
    if what == "id":
        return (ctypes.c_size_t * count)()
    if what == "device":
        return (ctypes.c_char_p * count)(*[b"cpu"] * count)
    numbers = {"ndim": [a.ndim for a in arrays], "type": [TYPES[a.dtype] for a in arrays]}.get(what, [0] * count)
    return (ctypes.c_int * count)(*numbers)
