"""The quasi-recurrent neural network (Bradbury et al. 2017), with windows of two time steps and fo-pooling.

``z_t = tanh(W_z x_t + V_z x_{t-1} + b_z)``, ``f_t = s(W_f x_t + V_f x_{t-1} + b_f)``,
``o_t = s(W_o x_t + V_o x_{t-1} + b_o)``, ``c_t = f_t c_{t-1} + (1 - f_t) z_t``, ``h_t = o_t c_t``.

No matrix is multiplied by a state. So the products of all time steps are computed at once, and what goes from step to
step is a product and a sum of vectors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

import seqlm_core as seqlm


@dataclasses.dataclass(frozen=True)
class QRNNOptions:
    forget_bias: float = seqlm.option(0.0, "Initial bias of the gate f; above 0 the layer remembers from the start.")


def build(input_size: int, hidden_size: int, options: QRNNOptions) -> Any:
    from seqlm_core.mxnet import gluon, mx, nd

    class Gates(gluon.HybridBlock):
        """``z``, ``f`` and ``o`` of all time steps, each ``(time, batch, hidden)``."""

        def __init__(self) -> None:
            super().__init__()
            rows = 3 * hidden_size
            forget_bias = seqlm.GateBias(gates=3, gate=1, value=options.forget_bias)
            with self.name_scope():
                self.now = self.params.get("now_weight", shape=(rows, input_size))
                self.before = self.params.get("before_weight", shape=(rows, input_size))
                self.bias = self.params.get("bias", shape=(rows,), init=forget_bias)

        def hybrid_forward(self, F: Any, inputs: Any, earlier: Any, now: Any, before: Any, bias: Any) -> list[Any]:
            # The weights are cut into gates, and not the products, which are far larger.
            def gate(number: int, activation: str) -> Any:
                rows = {"axis": 0, "begin": number * hidden_size, "end": (number + 1) * hidden_size}
                sizes = {"num_hidden": hidden_size, "flatten": False}
                of_now = F.FullyConnected(inputs, F.slice_axis(now, **rows), F.slice_axis(bias, **rows), **sizes)
                of_before = F.FullyConnected(earlier, F.slice_axis(before, **rows), no_bias=True, **sizes)
                return F.Activation(of_now + of_before, act_type=activation)

            return [gate(0, "tanh"), gate(1, "sigmoid"), gate(2, "sigmoid")]

    class QRNN(gluon.rnn.HybridRecurrentCell):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                self.gates = Gates()

        def state_info(self, batch_size: int = 0) -> list[dict[str, Any]]:
            """The states are ``c`` and the last input."""
            return [{"shape": (batch_size, size), "__layout__": "NC"} for size in (hidden_size, input_size)]

        def unroll(
            self,
            length: int,
            inputs: Any,
            begin_state: list[Any],
            layout: str = "TNC",
            merge_outputs: bool = True,
            valid_length: Any = None,
        ) -> tuple[Any, list[Any]]:
            """Map ``inputs (time, batch, input)`` to outputs ``(time, batch, hidden)`` and the new states."""
            ops = mx.sym if isinstance(inputs, mx.sym.Symbol) else nd
            c, last_input = begin_state
            known = ops.concat(last_input.expand_dims(0), inputs, dim=0)
            z, f, o = self.gates(inputs, ops.slice_axis(known, axis=0, begin=0, end=-1))

            def steps(values: Any) -> Any:
                if length == 1:  # a split into one part is no list
                    return [values.reshape((-3, -2))]
                return ops.split(values, num_outputs=length, axis=0, squeeze_axis=True)

            cs = []
            for kept, added in zip(steps(f), steps(z - f * z)):
                c = kept * c + added
                cs.append(c)
            last_input = ops.slice_axis(known, axis=0, begin=-1, end=None).reshape((-3, -2))
            return o * ops.stack(*cs, axis=0), [c, last_input]

    return QRNN()


def step(
    weights: Mapping[str, np.ndarray], inputs: np.ndarray, states: seqlm.States, options: QRNNOptions
) -> tuple[np.ndarray, seqlm.States]:
    size = len(weights["gates.bias"]) // 3
    values = inputs @ weights["gates.now"].T + weights["gates.bias"]
    c = np.zeros((len(inputs), size), inputs.dtype)
    if states:
        c, last_input = states
        values += last_input @ weights["gates.before"].T
    z, gates = np.tanh(values[:, :size]), seqlm.sigmoid(values[:, size:])
    c = z + gates[:, :size] * (c - z)
    return gates[:, size:] * c, (c, inputs)


@seqlm.hookimpl
def seqlm_cells() -> seqlm.CellSpec:
    return seqlm.CellSpec(
        "qrnn",
        "quasi-recurrent neural network",
        build,
        QRNNOptions,
        step=step,
        default_activation_penalty=1.0,
    )
