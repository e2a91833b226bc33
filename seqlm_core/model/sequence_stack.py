"""Recurrent layers that read whole sequences of unequal length, in one direction or in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.model.stack import RecurrentStack


class SequenceStack(gluon.HybridBlock):
    """Layers of one cell. The outputs of a bidirectional cell's two directions are concatenated after every layer.

    A batch holds sequences that are padded at their ends to the same number of time steps. The padding has no influence
    on the outputs before it: the forward direction reads it last, and so does the backward direction, for which the
    sequence is reversed within its length. (MXNet's fused operator has an option ``use_sequence_length``, which it
    ignores on the CPU.)

    Args:
        build_layer: a function of ``(input_size, hidden_size)`` that returns a layer in one direction.
        input_size: length of the input vectors.
        hidden_sizes: number of units in each direction of each layer, the lowest first.
        bidirectional: whether sequences are read from both ends.

    Attributes:
        sizes: length of each layer's output vectors.
        size: length of the top layer's output vectors.
    """

    def __init__(
        self,
        build_layer: Callable[[int, int], gluon.HybridBlock],
        input_size: int,
        hidden_sizes: Sequence[int],
        bidirectional: bool,
    ) -> None:
        super().__init__()
        directions = 2 if bidirectional else 1
        self.layers = len(hidden_sizes)
        self.sizes = [directions * size for size in hidden_sizes]
        self.size = self.sizes[-1]
        with self.name_scope():
            self.forward_stack = RecurrentStack(build_layer, input_size, hidden_sizes, directions)
            self.backward_stack: RecurrentStack | None = None
            if bidirectional:
                self.backward_stack = RecurrentStack(build_layer, input_size, hidden_sizes, directions)

    @property
    def stacks(self) -> dict[str, RecurrentStack]:
        """The stack of each direction, by its name."""
        found = {"forward_stack": self.forward_stack}
        return found if self.backward_stack is None else {**found, "backward_stack": self.backward_stack}

    def begin_state(self, batch_size: int, ctx: mx.Context, dtype: Any) -> list[list[list[Any]]]:
        """Return the initial states: for each direction, a list of arrays for each layer."""
        return [stack.begin_state(batch_size, ctx, dtype) for stack in self.stacks.values()]

    def unroll(
        self,
        F: Any,
        inputs: Any,
        lengths: Any,
        states: list[list[list[Any]]],
        time: int,
        masks: list[Any] | None = None,
    ) -> Any:
        """Return the top layer's outputs ``(time, batch, size)``; those beyond a sequence's end have no meaning.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            inputs: input vectors ``(time, batch, input)``.
            lengths: lengths of the sequences ``(batch,)``, at least 1.
            states: from :meth:`begin_state`.
            time: the number of time steps.
            masks: a dropout mask ``(time, batch, size)`` of each layer's outputs, or None where nothing is dropped;
                None without dropout.
        """
        for layer in range(self.layers):
            inputs = self.run_layer(F, layer, inputs, lengths, states, time)
            if masks is not None and masks[layer] is not None:
                inputs = inputs * masks[layer]
        return inputs

    def run_layer(self, F: Any, layer: int, inputs: Any, lengths: Any, states: list[list[list[Any]]], time: int) -> Any:
        """Return one layer's outputs ``(time, batch, size)``; the arguments are those of :meth:`unroll`."""
        outputs, _ = self.forward_stack.run_layer(layer, inputs, states[0][layer], time)
        if self.backward_stack is None:
            return outputs
        read, _ = self.backward_stack.run_layer_from_end(F, layer, inputs, states[1][layer], lengths, time)
        return F.concat(outputs, read, dim=2)

    def summary(self, F: Any, outputs: Any, lengths: Any) -> Any:
        """Return each direction's output after it has read a whole sequence, ``(batch, size)``.

        That is the forward direction's output at the last time step, and the backward direction's at the first.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            outputs: from :meth:`unroll`.
            lengths: lengths of the sequences ``(batch,)``, at least 1.
        """
        ends = F.SequenceLast(outputs, lengths, use_sequence_length=True)
        if self.backward_stack is None:
            return ends
        begins = F.slice_axis(outputs, axis=0, begin=0, end=1).reshape((-3, -2))
        half = self.size // 2
        forward = F.slice_axis(ends, axis=1, begin=0, end=half)
        return F.concat(forward, F.slice_axis(begins, axis=1, begin=half, end=None), dim=1)
