"""MXNet arrays made from numbers in memory without waiting for MXNet."""

from __future__ import annotations

import ctypes
from typing import Any, Callable

import numpy as np

from seqlm_core.mxnet import mx, nd


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


def array_of(values: np.ndarray, dtype: Any, device: mx.Context) -> Any:
    """Return a new MXNet array of the same shape as ``values``, converted to ``dtype``."""
    return make_array(values.shape, dtype, device, lambda array: np.copyto(array, values, casting="unsafe"))
