"""A GPU where there is none: a context of the processor that MXNet keeps apart, and that refuses what a GPU cannot do.

MXNet has any number of contexts of the processor, such as ``cpu(1)``, with arrays and threads of their own. Here those
but ``cpu(0)`` say that they are GPUs. What a GPU cannot do is an error then: to hand out the address of an array, to
call an operator of our library in C++, or to compute with arrays of two contexts.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from seqlm_core.engine.mxnet import mx

ADDRESSES = ("MXNDArrayGetData", "MXNDArrayToDLPack", "MXNDArrayGetSharedMemHandle")
"""Functions of MXNet that hand out the memory of an array."""
COPIES = "_copyto"
OUR_OPERATORS = "seqlm_"


class NotOnGPUError(AssertionError):
    """Something that a GPU cannot do."""


class FakeGPUs:
    """What was computed on which context while the GPUs were there.

    Args:
        count: how many GPUs there are.

    Attributes:
        operators: for each context, as in ``gpu(0)``, the names of the operators that were called with arrays on it;
            those of a graph are one name, ``a graph``.
        errors: what a GPU could not have done. Each was raised where it happened, too.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.operators: dict[str, set[str]] = defaultdict(set)
        self.errors: list[str] = []

    @staticmethod
    def is_one(context: mx.Context) -> bool:
        """Whether a context is a fake GPU."""
        return context.device_typeid == 1 and context.device_id > 0

    def refuse(self, problem: str) -> None:
        self.errors.append(problem)
        raise NotOnGPUError(problem)

    def check(self, operator: str, arrays: list[mx.Context]) -> None:
        """Refuse an operator that a GPU could not compute with arrays on these contexts."""
        contexts = {str(context): context for context in arrays}
        for name in contexts:
            self.operators[name].add(operator)
        if operator != COPIES and len(contexts) > 1:
            self.refuse(f"{operator} is called with arrays on {' and '.join(sorted(contexts))}")
        if operator.startswith(OUR_OPERATORS) and any(map(self.is_one, arrays)):
            self.refuse(f"{operator} is called with arrays on a GPU, and is for processors alone")


@contextlib.contextmanager
def fake_gpus(count: int = 1) -> Iterator[FakeGPUs]:
    """Have so many GPUs within the block."""
    gpus = FakeGPUs(count)
    library, graph = mx.base._LIB, mx.nd.CachedOp
    name_of = mx.Context.devtype2str
    with pytest.MonkeyPatch.context() as patch:

        def device_type(context: mx.Context) -> str:
            return "gpu" if gpus.is_one(context) else name_of[context.device_typeid]

        # MXNet reads the text of a context as an attribute of operators, so it has to be the true one.
        patch.setattr(mx.Context, "__str__", lambda self: f"{name_of[self.device_typeid]}({self.device_id})")
        patch.setattr(mx.Context, "device_type", property(device_type))
        patch.setattr(mx, "gpu", lambda device_id=0: mx.cpu(device_id + 1))
        patch.setattr(mx.context, "num_gpus", lambda: count)
        for name in ADDRESSES:
            patch.setattr(library, name, _without_addresses(gpus, name, getattr(library, name)))
        patch.setattr(library, "MXImperativeInvokeEx", _watched_operators(gpus, library.MXImperativeInvokeEx))

        patch.setattr(library, "MXAutogradBackwardEx", _watched_gradients(gpus, library.MXAutogradBackwardEx))

        class WatchedGraph(graph):
            def __init__(self, symbol: Any, *arguments: Any, **named: Any) -> None:
                super().__init__(symbol, *arguments, **named)
                self.is_ours = f'"op": "{OUR_OPERATORS}' in symbol.tojson()

            def __call__(self, *arrays: Any, **named: Any) -> Any:
                contexts = [array.context for array in arrays]
                gpus.check(f"{OUR_OPERATORS} in a graph" if self.is_ours else "a graph", contexts)
                return super().__call__(*arrays, **named)

        patch.setattr(mx.nd, "CachedOp", WatchedGraph)
        yield gpus
        mx.nd.waitall()


def _without_addresses(gpus: FakeGPUs, name: str, function: Any) -> Any:
    def checked(handle: Any, *rest: Any) -> Any:
        if gpus.is_one(_context_of(handle)):
            gpus.refuse(f"{name} asks for the address of an array on a GPU")
        return function(handle, *rest)

    return checked


def _watched_operators(gpus: FakeGPUs, function: Any) -> Any:
    def checked(operator: Any, inputs: Any, arrays: Any, outputs: Any, results: Any, *rest: Any) -> Any:
        given = [arrays[k] for k in range(inputs.value)]
        given += [results._obj[k] for k in range(outputs._obj.value)]
        gpus.check(_name_of(operator), [_context_of(handle) for handle in given])
        return function(operator, inputs, arrays, outputs, results, *rest)

    return checked


def _watched_gradients(gpus: FakeGPUs, function: Any) -> Any:
    def checked(count: Any, heads: Any, gradients: Any, *rest: Any) -> Any:
        given = [heads[k] for k in range(count)]
        given += [gradients[k] for k in range(count) if gradients[k]]
        gpus.check("backward", [_context_of(handle) for handle in given])
        return function(count, heads, gradients, *rest)

    return checked


def _context_of(handle: Any) -> mx.Context:
    kind, number = ctypes.c_int(), ctypes.c_int()
    handle = handle if isinstance(handle, ctypes.c_void_p) else ctypes.c_void_p(handle)
    mx.base.check_call(mx.base._LIB.MXNDArrayGetContext(handle, ctypes.byref(kind), ctypes.byref(number)))
    return mx.Context(mx.Context.devtype2str[kind.value], number.value)


def _name_of(operator: Any) -> str:
    name = ctypes.c_char_p()
    mx.base.check_call(mx.base._LIB.MXSymbolGetAtomicSymbolName(operator, ctypes.byref(name)))
    return (name.value or b"").decode()
