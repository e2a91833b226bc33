"""The native training kernels: MXNet operators that come with seqlm, built from ``src/training``.

MXNet's own operators are used instead if the library was not built, on a GPU, for types other than float32, and with
``SEQLM_NATIVE=0``. Their results differ only by rounding.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.engine.mxnet import drained, mx
from seqlm_core.engine.threads import usable_cores
from seqlm_core.errors import SettingError
from seqlm_core.native.library import Functions, instruction_sets, is_switched_off, library_path, load
from seqlm_core.settings.precisions import BFLOAT16, FLOAT32

LIBRARY = library_path("training")

# The version of the interface that is described here. The library has a number too, since it may have been built from
# other sources.
INTERFACE = 9
_FUNCTIONS: Functions = {
    "seqlm_configure": (None, [ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t]),
}

BUILT_FOR = ("Linux", "x86_64")
"""The system and the machine that the kernels are for."""

MXNET = "mxnet"
ON_GPU = "mxnet gpu"
"""MXNet's operators on a GPU, which are others: they round in another way, and no number of threads matters to them."""
_ROUNDING = "_bf16"
MOST_MEMBERS = 1024
"""The largest number of members. The kernels divide the work of a call among members, and threads do the work of the
members. The bits of the results depend on the number of members, and not on the number of threads. Unless it is chosen,
the number of members is the number of threads."""

LEAST_MULTIPLICATIONS = 120_000
"""The fewest multiplications for each thread between two points at which the threads wait for each other. Threads that
share the units of a layer wait at every time step. If there are fewer multiplications, one thread less is faster.
Measured with 2 threads instead of 1, one sequence at a time and 256 units: gru fell from 37,000 to 27,000 tokens a
second; lstm, which has just enough multiplications, rose from 27,000 to 29,000."""


@functools.cache
def _load(path: Path) -> ctypes.CDLL | None:
    library = load(path, INTERFACE, _FUNCTIONS, "MXNet's operators compute")
    if library is not None:
        mx.library.load(os.fspath(path.resolve()), verbose=False)
    return library


def available_backends(precision: str = FLOAT32) -> list[str]:
    """Return the names of the usable backends, the slowest first: ``mxnet``, ``native portable`` and so on.

    Args:
        precision: what they round the factors of their products to; those of bfloat16 have names that end with
            ``_bf16``.
    """
    library = None if is_switched_off() else _load(LIBRARY)
    names = [] if library is None else [f"native {name}" for name in instruction_sets(library)]
    if precision == BFLOAT16:
        return [name for name in names if name.endswith(_ROUNDING)]
    return [MXNET, *(name for name in names if not name.endswith(_ROUNDING))]


def missing_kernels(device: mx.Context) -> str | None:
    """Return what a user reads whose training could be faster; None if there are kernels, or they cannot be."""
    if LIBRARY.exists() or device.device_type != "cpu" or (platform.system(), platform.machine()) != BUILT_FOR:
        return None
    return (
        "this would be faster with native kernels, which were not built; where there are MXNet and a C++ compiler, "
        "install seqlm again: pip install --force-reinstall --no-deps ."
    )


class _Choice(NamedTuple):
    backend: str
    members: int | None  # None: as many as there are threads


_in_use: _Choice | None = None


def backend_in_use(device: mx.Context) -> str:
    """Return the name of the backend that computes on this device."""
    return ON_GPU if device.device_type != "cpu" else _current().backend


def _current() -> _Choice:
    return _in_use if _in_use is not None else _use(available_backends()[-1])


@contextlib.contextmanager
def chosen_backend(name: str, members: int | None = None) -> Iterator[None]:
    """Compute with this backend within the block, or with the fastest one of float32 if it is not available.

    Args:
        name: a name that :func:`available_backends` can return.
        members: the number of members among which the work is divided, at most :data:`MOST_MEMBERS`; None takes the
            number of threads.
    """
    before, usable = _current(), [*available_backends(), *available_backends(BFLOAT16)]
    _use(name if name in usable else available_backends()[-1], members)
    try:
        with drained():
            yield
    finally:
        _use(*before)


@contextlib.contextmanager
def training_precision(precision: str, device: mx.Context) -> Iterator[None]:
    """Compute with this precision within the block: for bfloat16 with the fastest backend that has it.

    Raises:
        SettingError: nothing here has it.
    """
    if precision == FLOAT32:
        yield
        return
    backends = available_backends(precision)
    if device.device_type != "cpu":
        problem = f"is for the native kernels of processors (`device` cpu), and this training computes on {device}"
    elif len(available_backends()) == 1:
        problem = "is for the native kernels, which were not built or are switched off"
    elif not backends:
        problem = "needs a processor with the instructions AVX512-BF16, which this one does not have"
    else:
        with chosen_backend(backends[-1]):
            yield
        return
    raise SettingError("precision", f"{precision} {problem}; {FLOAT32} works everywhere")


@contextlib.contextmanager
def unrounded() -> Iterator[None]:
    """Compute products of float32 within the block, whatever the precision of the training."""
    backend, members = _current()
    if not backend.endswith(_ROUNDING):
        yield
        return
    mx.nd.waitall()
    with chosen_backend(available_backends()[-1], members):
        yield


def _use(backend: str, members: int | None = None) -> _Choice:
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
    _in_use = _Choice(backend, members)
    return _in_use


def computes_natively(parameter: Any) -> bool:
    """Whether the native kernels compute with this gluon parameter, which must be initialized."""
    backend = backend_in_use(parameter.list_ctx()[0])
    return np.dtype(parameter.dtype) == np.float32 and backend not in (MXNET, ON_GPU)


def block_computes_natively(block: Any) -> bool:
    """Whether the native kernels compute with all parameters of this gluon block, which must be initialized."""
    return all(computes_natively(parameter) for parameter in block.collect_params().values())


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
    resets: Any = None,
) -> tuple[Any, list[Any]]:
    """Run a recurrent layer over all time steps.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        formula: the name of the formula, one of :data:`~seqlm_core.native.GATES`.
        inputs: the linear projection of the layer's inputs, ``(time, batch, gates * hidden)``; or that of each token
            of a vocabulary, ``(vocabulary, gates * hidden)``.
        weight: ``(gates * hidden, hidden)``.
        bias: ``(gates * hidden,)``.
        states: the hidden state and, for ``lstm``, the memory, each ``(batch, hidden)``.
        tokens: int32 ids ``(time, batch)`` if ``inputs`` has a row for each token of a vocabulary; otherwise None.
        lengths: int32 ``(batch,)``, from 1 to ``time``. Outputs after the end of a sequence are 0. None if all
            sequences have ``time`` steps.
        reverse: whether each sequence is read from its end.
        resets: int32 ``(time, batch)``, 1 where the states are 0 again before the time step, else 0; None if that is
            nowhere.

    Returns:
        The outputs ``(time, batch, hidden)`` and the states after the last time step of each sequence.
    """
    # Copies of the states, as with_own_gradient makes them of parameters; they are small.
    arguments = [inputs, weight, bias, *[F.identity(state) for state in states]]
    arguments += [array for array in (tokens, lengths, resets) if array is not None]
    outputs, *after = F.seqlm_layer(
        *arguments,
        cell=formula,
        tokens=int(tokens is not None),
        lengths=int(lengths is not None),
        resets=int(resets is not None),
        reverse=int(reverse),
    )
    return outputs, after


def projection(F: Any, inputs: Any, weight: Any, bias: Any) -> Any:
    """Return the linear projection of ``inputs (..., channels)``, an array ``(..., outputs)``.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        inputs: ``(..., channels)``.
        weight: ``(outputs, channels)``.
        bias: ``(outputs,)``.
    """
    return F.seqlm_projection(inputs, weight, bias)


def softmax_loss(F: Any, hidden: Any, weight: Any, bias: Any, targets: Any) -> Any:
    """Return the cross-entropy of each prediction in nats, ``(...)``, for a linear projection with a softmax.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        hidden: ``(..., hidden)``.
        weight: ``(classes, hidden)``.
        bias: ``(classes,)``.
        targets: int32 ids of the classes, ``(...)``.
    """
    return F.seqlm_softmax_loss(hidden, weight, bias, targets)


def some_softmax_loss(F: Any, hidden: Any, weight: Any, bias: Any, targets: Any) -> Any:
    """Return the same as :func:`softmax_loss`, but 0 for each prediction whose target is -1, which is not computed."""
    return F.seqlm_some_softmax_loss(hidden, weight, bias, targets)


def chain_loss(F: Any, scores: Any, first: Any, transitions: Any, last: Any, targets: Any, lengths: Any) -> Any:
    """Return the negative log-probability of sequences of labels under a linear chain, ``(batch,)``, in nats.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        scores: the score of each label at each place, ``(time, batch, labels)``.
        first: of each label at the beginning, ``(labels,)``.
        transitions: of each label (second axis) after another, ``(labels, labels)``.
        last: of each label at the end, ``(labels,)``.
        targets: the labels, int32 ``(time, batch)``; -1 stands for any label.
        lengths: int32 ``(batch,)``, from 1 to ``time``.
    """
    return F.seqlm_chain_loss(scores, first, transitions, last, targets, lengths)


def penalized(F: Any, losses: Any, outputs: Any, activation: float, temporal: float) -> Any:
    """Return ``losses (time, batch)`` with the gradients of losses and penalties.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        losses: the loss of each prediction.
        outputs: the last layer's outputs, ``(time, batch, hidden)``.
        activation: the factor of the mean square of the outputs.
        temporal: the factor of the mean square of their differences from one time step to the next.
    """
    return F.seqlm_penalties(losses, outputs, activation=activation, temporal=temporal)


def with_own_gradient(F: Any, parameter: Any, array: Any) -> Any:
    """Return the array of a parameter as an input for a native operator; a copy if gradients are added up.

    A native operator overwrites the gradient of its input, also if it should be added (``grad_req`` is ``add``): MXNet
    does not say so to the operator. If the input is a copy, MXNet adds the gradient of the copy.
    """
    return F.identity(array) if parameter.grad_req == "add" else array
