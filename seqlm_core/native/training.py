"""The native training kernels: MXNet operators of our own, built from ``src/training``.

Where they cannot serve (not built, on a GPU, in another type than float32, ``SEQLM_NATIVE=0``), MXNet's own operators
do, with the same results to rounding.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import drained, mx
from seqlm_core.engine.threads import usable_cores
from seqlm_core.native.library import Functions, instruction_sets, is_switched_off, library_path, load

LIBRARY = library_path("training")

# The interface that is described here; the library has a number of its own, in case it was built from other sources.
INTERFACE = 5
_FUNCTIONS: Functions = {
    "seqlm_configure": (None, [ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t]),
}

MXNET = "mxnet"
MOST_MEMBERS = 1024
"""The most among which the kernels divide the work of a call. The results depend on it, and not on how many threads do
what falls to these members; unless it is chosen, it is the number of threads."""

LEAST_MULTIPLICATIONS = 120_000
"""Of a thread between two meetings of the threads, of which there is one at every time step where they share units.
With fewer, one less is faster: with 2 threads, one sequence at a time and 256 units, gru fell from 37,000 to 27,000
tokens a second, and lstm, which has just enough, rose from 27,000 to 29,000."""


@functools.cache
def _load(path: Path) -> ctypes.CDLL | None:
    library = load(path, INTERFACE, _FUNCTIONS, "MXNet's operators compute")
    if library is not None:
        mx.library.load(os.fspath(path.resolve()), verbose=False)
    return library


def available_backends() -> list[str]:
    """Return who can compute here, the slowest first: ``mxnet``, ``native portable`` and so on."""
    library = None if is_switched_off() else _load(LIBRARY)
    if library is None:
        return [MXNET]
    return [MXNET, *(f"native {name}" for name in instruction_sets(library))]


_in_use: str | None = None


def backend_in_use(device: mx.Context) -> str:
    """Return the name of the backend that computes on this device."""
    if device.device_type != "cpu":
        return MXNET
    return _in_use if _in_use is not None else _use(available_backends()[-1])


@contextlib.contextmanager
def chosen_backend(name: str, members: int | None = None) -> Iterator[None]:
    """Compute what is made meanwhile with this backend, if it is available, else with the fastest.

    Args:
        name: as in :func:`available_backends`.
        members: among how many the work is divided, at most :data:`MOST_MEMBERS`; None is as many as there are threads.
    """
    available = available_backends()
    _use(name if name in available else available[-1], members)
    try:
        with drained():
            yield
    finally:
        _use(available[-1])


def _use(backend: str, members: int | None = None) -> str:
    global _in_use
    library = None if backend == MXNET else _load(LIBRARY)
    if library is not None:
        threads = int(os.environ["OMP_NUM_THREADS"])
        library.seqlm_configure(
            min(members or threads, MOST_MEMBERS),
            min(threads, usable_cores()),
            LEAST_MULTIPLICATIONS,
            instruction_sets(library).index(backend.split()[1]),
        )
    _in_use = backend
    return backend


def computes_natively(parameter: Any) -> bool:
    """Whether the native kernels compute what this gluon parameter, which has values, is part of."""
    return np.dtype(parameter.dtype) == np.float32 and backend_in_use(parameter.list_ctx()[0]) != MXNET


def recurrent_layer(
    F: Any,
    formula: str,
    inputs: Any,
    weight: Any,
    bias: Any,
    states: Sequence[Any],
    *,
    tokens: Any = None,
    lengths: Any = None,
    reverse: bool = False,
) -> tuple[Any, list[Any]]:
    """Run a recurrent layer over all time steps.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        formula: one of :data:`~seqlm_core.native.GATES`.
        inputs: what the layer's input weights and bias make of its inputs, ``(time, batch, gates * hidden)``; or of
            each token of a vocabulary, ``(vocabulary, gates * hidden)``.
        weight: ``(gates * hidden, hidden)``.
        bias: ``(gates * hidden,)``.
        states: ``(batch, hidden)``: hidden, and for ``lstm`` memory.
        tokens: int32 ids ``(time, batch)``, where ``inputs`` has a row for each token.
        lengths: int32 ``(batch,)``, from 1 to ``time``; outputs beyond the end of a sequence are 0. None where
            all sequences fill all time steps.
        reverse: read each sequence from its end.

    Returns:
        The outputs ``(time, batch, hidden)`` and the states after the last time step of each sequence.
    """
    # See with_own_gradient; the states are small.
    arguments = [inputs, weight, bias, *[F.identity(state) for state in states]]
    arguments += [array for array in (tokens, lengths) if array is not None]
    outputs, *after = F.seqlm_layer(
        *arguments,
        cell=formula,
        tokens=int(tokens is not None),
        lengths=int(lengths is not None),
        reverse=int(reverse),
    )
    return outputs, after


def projection(F: Any, inputs: Any, weight: Any, bias: Any) -> Any:
    """Return the linear projection of ``inputs (..., channels)``, ``(..., outputs)``.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        inputs: ``(..., channels)``.
        weight: ``(outputs, channels)``.
        bias: ``(outputs,)``.
    """
    return F.seqlm_projection(inputs, weight, bias)


def softmax_loss(F: Any, hidden: Any, weight: Any, bias: Any, targets: Any) -> Any:
    """Return the cross-entropy in nats of each prediction, ``(...)``, of a linear projection with a softmax.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        hidden: ``(..., hidden)``.
        weight: ``(classes, hidden)``.
        bias: ``(classes,)``.
        targets: int32 ids of the classes, ``(...)``.
    """
    return F.seqlm_softmax_loss(hidden, weight, bias, targets)


def with_own_gradient(F: Any, parameter: Any, array: Any) -> Any:
    """Return a parameter's array for a native operator; a copy where its gradients are added up.

    An operator of our own is not told to add to a gradient (``grad_req`` is ``add``) and overwrites it. The gradients
    of its copies are added by MXNet.
    """
    return F.identity(array) if parameter.grad_req == "add" else array
