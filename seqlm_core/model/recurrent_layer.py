"""A layer on MXNet's fused RNN operator, which runs all time steps of one layer in one call."""

from __future__ import annotations

from typing import Any

from seqlm_core.model.initialization import GateOrthogonal
from seqlm_core.mxnet import gluon, mx
from seqlm_core.native import GATES


class FusedLayer(gluon.HybridBlock):
    """One recurrent layer in one direction.

    Parameters are named and ordered as in gluon's cells: ``i2h_weight (gates * hidden, input)``, ``h2h_weight
    (gates * hidden, hidden)``, ``i2h_bias`` and ``h2h_bias``. The gates are, in order, for ``lstm`` input, forget,
    candidate, output; for ``gru`` reset, update, candidate.

    Args:
        mode: ``rnn_tanh``, ``rnn_relu``, ``gru`` or ``lstm``.
        input_size: channels of the input.
        hidden_size: units.
        bias_initializer: for ``i2h_bias``; zeros without it.
    """

    def __init__(self, mode: str, input_size: int, hidden_size: int, bias_initializer: Any | None = None) -> None:
        super().__init__()
        self.mode = mode
        self.hidden_size = hidden_size
        rows = GATES[mode] * hidden_size
        with self.name_scope():
            self.i2h_weight = self.params.get("i2h_weight", shape=(rows, input_size))
            self.h2h_weight = self.params.get("h2h_weight", shape=(rows, hidden_size), init=GateOrthogonal(GATES[mode]))
            self.i2h_bias = self.params.get("i2h_bias", shape=(rows,), init=bias_initializer or "zeros")
            self.h2h_bias = self.params.get("h2h_bias", shape=(rows,), init="zeros")

    def begin_state(self, batch_size: int, ctx: mx.Context | None = None, dtype: Any = "float32") -> list[Any]:
        """Return zero states ``(batch, hidden)``: hidden, and for ``lstm`` cell."""
        count = 2 if self.mode == "lstm" else 1
        return [mx.nd.zeros((batch_size, self.hidden_size), ctx=ctx, dtype=dtype) for _ in range(count)]

    def hybrid_forward(
        self,
        F: Any,
        inputs: Any,
        states: list[Any],
        i2h_weight: Any,
        h2h_weight: Any,
        i2h_bias: Any,
        h2h_bias: Any,
    ) -> tuple[Any, list[Any]]:
        """Map ``inputs (time, batch, input)`` to outputs ``(time, batch, hidden)`` and the new states."""
        weights = F.concat(i2h_weight.reshape((-1,)), h2h_weight.reshape((-1,)), i2h_bias, h2h_bias, dim=0)
        outputs, *new_states = F.RNN(
            inputs,
            weights,
            *[state.expand_dims(0) for state in states],
            state_size=self.hidden_size,
            num_layers=1,
            mode=self.mode,
            state_outputs=True,
        )
        return outputs, [state.reshape((-3, -2)) for state in new_states]
