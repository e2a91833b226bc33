"""Fast access to MXNet's arrays, below its Python interface."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from seqlm_core.engine.mxnet import mx, nd


def make_array(shape: tuple[int, ...], dtype: Any, device: mx.Context, write: Callable[[np.ndarray], None]) -> Any:
    """Return a new MXNet array. ``write`` is called with a NumPy array of this shape, and fills it.

    ``nd.array`` waits until MXNet has done all that is queued, although nothing in the queue uses the new array. On the
    CPU this function does not wait: it writes into the memory of the new array.
    """
    if device.device_type != "cpu":
        host = np.empty(shape, dtype)
        write(host)
        return nd.array(host, ctx=device, dtype=dtype)
    array = nd.empty(shape, ctx=device, dtype=dtype)
    write(_memory_of(array))
    return array


def view_of(array: Any) -> np.ndarray:
    """Return an MXNet array as one of NumPy when it is computed; on the CPU it is the same memory, not a copy."""
    if array.context.device_type != "cpu" or not array.size:
        return array.asnumpy()
    array.wait_to_read()
    view = _memory_of(array)
    view.flags.writeable = False
    return view


def _memory_of(array: Any) -> np.ndarray:
    """Return the memory of an array on the CPU, which lasts as long as what is returned."""
    address = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(address)))
    memory = (ctypes.c_byte * (array.size * np.dtype(array.dtype).itemsize)).from_address(address.value)
    memory.owner = array  # so that MXNet does not free it before
    return np.frombuffer(memory, array.dtype).reshape(array.shape)


class CallInPlace:
    """An MXNet operator that changes its inputs in place, and that is called on the same arrays many times.

    ``mx.nd`` converts all arrays at each call, which for some tens of arrays takes as long as the call itself. Here
    they are converted once.

    Args:
        operator: the name of the operator.
        inputs: the arrays that it reads and changes.
        output: the array for its result.
    """

    def __init__(self, operator: str, inputs: Sequence[Any], output: Any) -> None:
        self._operator = ctypes.c_void_p()
        mx.base.check_call(mx.base._LIB.NNGetOpHandle(operator.encode(), ctypes.byref(self._operator)))
        self._arrays = [*inputs, output]  # keeps the arrays alive while their handles are in use
        self._inputs = mx.base.c_handle_array(inputs)
        self._output = mx.base.c_handle_array([output])

    def __call__(self, **attributes: Any) -> None:
        """Call the operator with these attributes."""
        outputs = ctypes.cast(self._output, ctypes.POINTER(ctypes.c_void_p))
        code = mx.base._LIB.MXImperativeInvokeEx(
            self._operator,
            ctypes.c_int(len(self._inputs)),
            self._inputs,
            ctypes.byref(ctypes.c_int(1)),
            ctypes.byref(outputs),
            ctypes.c_int(len(attributes)),
            mx.base.c_str_array(attributes),
            mx.base.c_str_array([str(value) for value in attributes.values()]),
            ctypes.byref(ctypes.POINTER(ctypes.c_int)()),
        )
        mx.base.check_call(code)


def array_of(values: np.ndarray, dtype: Any, device: mx.Context) -> Any:
    """Return a new MXNet array of the same shape as ``values``, converted to ``dtype``."""
    return make_array(values.shape, dtype, device, lambda array: np.copyto(array, values, casting="unsafe"))
