"""What is done with MXNet's arrays below its Python interface, for speed."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from seqlm_core.engine.mxnet import mx, nd


def make_array(shape: tuple[int, ...], dtype: Any, device: mx.Context, write: Callable[[np.ndarray], None]) -> Any:
    """Return a new MXNet array of what ``write`` puts into the NumPy array that it is given.

    ``nd.array`` queues behind all that MXNet has to do, although nobody else knows of the new array. Here it is
    written in place, on the CPU.
    """
    if device.device_type != "cpu":
        host = np.empty(shape, dtype)
        write(host)
        return nd.array(host, ctx=device, dtype=dtype)
    array = nd.empty(shape, ctx=device, dtype=dtype)
    address = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(address)))
    memory = (ctypes.c_byte * (array.size * np.dtype(dtype).itemsize)).from_address(address.value)
    write(np.frombuffer(memory, dtype).reshape(shape))
    return array


class CallInPlace:
    """Calls an MXNet operator that changes its inputs in place, on the same arrays again and again.

    Looking at some tens of arrays and converting them at each call takes ``mx.nd`` as long as the call itself.

    Args:
        operator: its name.
        inputs: its arrays.
        output: for what it returns besides.
    """

    def __init__(self, operator: str, inputs: Sequence[Any], output: Any) -> None:
        self._operator = ctypes.c_void_p()
        mx.base.check_call(mx.base._LIB.NNGetOpHandle(operator.encode(), ctypes.byref(self._operator)))
        self._arrays = [*inputs, output]  # they live as long as their handles are used
        self._inputs = mx.base.c_handle_array(inputs)
        self._output = mx.base.c_handle_array([output])

    def __call__(self, **attributes: Any) -> None:
        """Call it with these attributes."""
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
