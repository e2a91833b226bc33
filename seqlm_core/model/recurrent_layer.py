"""The recurrent layer of the built-in cells, which computes all time steps in one call."""

from __future__ import annotations

from typing import Any

from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.model.initialization import GateOrthogonal
from seqlm_core.native import GATES, training


class RecurrentLayer(gluon.HybridBlock):
    """One recurrent layer in one direction, on the native kernels or on MXNet's fused operator.

    Parameters are named and ordered as in gluon's cells: ``i2h_weight (gates * hidden, input)``, ``h2h_weight
    (gates * hidden, hidden)``, ``i2h_bias`` and ``h2h_bias``. The gates are, in order, for ``lstm`` input, forget,
    candidate, output; for ``gru`` reset, update, candidate.

    Args:
        formula: ``rnn_tanh``, ``rnn_relu``, ``gru`` or ``lstm``.
        input_size: length of the input vectors.
        hidden_size: number of units.
        bias_initializer: for ``i2h_bias``; None means zeros.
    """

    def __init__(self, formula: str, input_size: int, hidden_size: int, bias_initializer: Any | None = None) -> None:
        super().__init__()
        self.formula = formula
        self.hidden_size = hidden_size
        self.rows = rows = GATES[formula] * hidden_size
        with self.name_scope():
            self.i2h_weight = self.params.get("i2h_weight", shape=(rows, input_size))
            self.h2h_weight = self.params.get(
                "h2h_weight", shape=(rows, hidden_size), init=GateOrthogonal(GATES[formula])
            )
            self.i2h_bias = self.params.get("i2h_bias", shape=(rows,), init=bias_initializer or "zeros")
            self.h2h_bias = self.params.get("h2h_bias", shape=(rows,), init="zeros")

    @property
    def is_native(self) -> bool:
        """Whether the native kernels compute this layer; then all of its methods that read work."""
        # A subclass may begin with other states than 0. One with a forward pass of its own may not support token ids,
        # reading from the end, or resets.
        kind = type(self)
        is_not_overridden = (
            kind.hybrid_forward is RecurrentLayer.hybrid_forward and kind.begin_state is RecurrentLayer.begin_state
        )
        return is_not_overridden and training.computes_natively(self.h2h_weight)

    def begin_state(self, batch_size: int, ctx: mx.Context | None = None, dtype: Any = "float32") -> list[Any]:
        """Return states of zeros ``(batch, hidden)``: the hidden state, and for ``lstm`` the memory cell, too."""
        count = 2 if self.formula == "lstm" else 1
        return [mx.nd.zeros((batch_size, self.hidden_size), ctx=ctx, dtype=dtype) for _ in range(count)]

    def read_documents(self, inputs: Any, states: list[Any], resets: Any) -> tuple[Any, list[Any]]:
        """Read vectors, some of which begin afresh.

        Args:
            inputs: ``(time, batch, input)``.
            states: from :meth:`begin_state` or an earlier call.
            resets: int32 ``(time, batch)``, 1 where the states are those of the beginning again before the vector is
                read, else 0.

        Returns:
            Outputs ``(time, batch, hidden)`` and the new states.
        """
        return self(inputs, states, None, None, resets)

    def read_tokens(
        self, tokens: Any, states: list[Any], embedding: Any | None, resets: Any | None = None
    ) -> tuple[Any, list[Any]]:
        """Read token ids instead of vectors.

        The product with the input weights is computed once for each token of the vocabulary, not once for each time
        step.

        Args:
            tokens: int32 ids ``(time, batch)``.
            states: from :meth:`begin_state` or an earlier call.
            embedding: the embeddings of all tokens ``(vocabulary, input)``; None for one-hot vectors.
            resets: see :meth:`read_documents`; None if the states are reset nowhere.

        Returns:
            Outputs ``(time, batch, hidden)`` and the new states.
        """
        return self(tokens, states, [] if embedding is None else [embedding], None, resets)

    def read_from_end(self, inputs: Any, states: list[Any], lengths: Any) -> tuple[Any, list[Any]]:
        """Read each sequence from its end to its beginning.

        Args:
            inputs: ``(time, batch, input)``.
            states: from :meth:`begin_state`.
            lengths: int32 ``(batch,)``, from 1 to ``time``.

        Returns:
            Outputs ``(time, batch, hidden)`` and the new states. The output of an input stands at its position;
            beyond the end of a sequence outputs are 0. The states are those after the first input, which is read last.
        """
        return self(inputs, states, None, lengths)

    def hybrid_forward(
        self,
        F: Any,
        inputs: Any,
        states: list[Any],
        vectors: list[Any] | None = None,
        lengths: Any | None = None,
        resets: Any | None = None,
        *,
        i2h_weight: Any,
        h2h_weight: Any,
        i2h_bias: Any,
        h2h_bias: Any,
    ) -> tuple[Any, list[Any]]:
        """Map ``inputs (time, batch, input)`` to outputs ``(time, batch, hidden)`` and the new states.

        With ``vectors``, the inputs are token ids, and ``vectors`` holds the embeddings of all tokens, or nothing for
        one-hot vectors: see :meth:`read_tokens`. With ``lengths``, sequences are read from their ends: see
        :meth:`read_from_end`. With ``resets``, states are reset within: see :meth:`read_documents`.
        """
        if not training.computes_natively(self.h2h_weight):
            return self._fused(F, inputs, states, i2h_weight, h2h_weight, i2h_bias, h2h_bias)
        i2h_weight, h2h_weight, i2h_bias, h2h_bias = (
            training.with_own_gradient(F, parameter, array)
            for parameter, array in [
                (self.i2h_weight, i2h_weight),
                (self.h2h_weight, h2h_weight),
                (self.i2h_bias, i2h_bias),
                (self.h2h_bias, h2h_bias),
            ]
        )
        if vectors is None:
            products = training.projection(F, inputs, i2h_weight, i2h_bias)
            return training.recurrent_layer(
                F,
                self.formula,
                products,
                h2h_weight,
                h2h_bias,
                states,
                lengths=lengths,
                reverse=lengths is not None,
                resets=resets,
            )
        if vectors:
            table = training.projection(F, vectors[0], i2h_weight, i2h_bias)
        else:
            table = F.broadcast_add(F.transpose(i2h_weight), i2h_bias.expand_dims(0))
        return training.recurrent_layer(
            F, self.formula, table, h2h_weight, h2h_bias, states, tokens=inputs, resets=resets
        )

    def _fused(
        self, F: Any, inputs: Any, states: list[Any], i2h_weight: Any, h2h_weight: Any, i2h_bias: Any, h2h_bias: Any
    ) -> tuple[Any, list[Any]]:
        weights = F.concat(i2h_weight.reshape((-1,)), h2h_weight.reshape((-1,)), i2h_bias, h2h_bias, dim=0)
        outputs, *new_states = F.RNN(
            inputs,
            weights,
            *[state.expand_dims(0) for state in states],
            state_size=self.hidden_size,
            num_layers=1,
            mode=self.formula,
            state_outputs=True,
        )
        return outputs, [state.reshape((-3, -2)) for state in new_states]
