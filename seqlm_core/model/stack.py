"""A stack of recurrent layers in one direction."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Callable

from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.errors import PluginError
from seqlm_core.plugins.foreign import plugin_code, plugin_failure


@dataclasses.dataclass(frozen=True)
class Resets:
    """Where states are those of the beginning again.

    Attributes:
        before: int32 ``(time, batch)``, 1 where this is so before the time step, else 0.
        states: those states, from :meth:`RecurrentStack.reset_states`.
    """

    before: Any
    states: list[list[Any]]


class RecurrentStack(gluon.HybridBlock):
    """Layers of one cell on top of each other, each followed by dropout.

    The dropout masks are arguments, since MXNet's fused operator ignores its own dropout on the CPU, and since such
    masks can be repeated.

    Args:
        build_layer: a function of ``(input_size, hidden_size)`` that returns a layer.
        input_size: length of the lowest layer's input vectors.
        hidden_sizes: number of units in each layer, the lowest first.
        directions: how many stacks there are, whose outputs side by side are the inputs of the next layer.

    Raises:
        PluginError: a parameter of a layer has no shape yet.

    Attributes:
        input_sizes: length of each layer's input vectors.
    """

    def __init__(
        self,
        build_layer: Callable[[int, int], gluon.HybridBlock],
        input_size: int,
        hidden_sizes: Sequence[int],
        directions: int = 1,
    ) -> None:
        super().__init__()
        self.hidden_sizes = list(hidden_sizes)
        self.input_sizes = [input_size, *(directions * size for size in hidden_sizes[:-1])]
        self.layers = []
        with self.name_scope():
            for index, sizes in enumerate(zip(self.input_sizes, self.hidden_sizes)):
                layer = build_layer(*sizes)
                self.register_child(layer, str(index))
                self.layers.append(layer)
        for name, parameter in self._collect_params_with_prefix().items():
            if parameter.shape is None or 0 in parameter.shape:
                raise PluginError(f"the cell's parameter {name} does not know its shape: give it the input size")

    def begin_state(self, batch_size: int, ctx: mx.Context, dtype: Any) -> list[list[Any]]:
        """Return the initial states: for each layer a list of arrays ``(batch, ...)``.

        Raises:
            PluginRuntimeError: a cell fails, or makes a state on another device.
        """
        states = []
        for layer in self.layers:
            spec = _spec_of(layer)
            with plugin_code(spec):
                states.append(list(layer.begin_state(batch_size=batch_size, ctx=ctx, dtype=dtype)))
            elsewhere = [place for state in states[-1] if (place := getattr(state, "context", ctx)) != ctx]
            if spec is not None and elsewhere:
                raise plugin_failure(spec, f"begin_state is given ctx={ctx}, and returns a state on {elsewhere[0]}")
        return states

    def reset_states(self, batch_size: int, ctx: mx.Context, dtype: Any) -> list[list[Any]]:
        """Return the states of :class:`Resets`: those of :meth:`begin_state`, and none of a layer that knows its own.

        (A graph must not have inputs that it does not use.)
        """
        states = self.begin_state(batch_size, ctx, dtype)
        return [[] if _is_native(layer) else own for layer, own in zip(self.layers, states)]

    def unroll(
        self,
        inputs: Any,
        states: list[list[Any]],
        length: int,
        masks: list[Any] | None = None,
        resets: Resets | None = None,
    ) -> tuple[Any, list[list[Any]]]:
        """Run ``length`` time steps through all layers.

        Args:
            inputs: input vectors ``(time, batch, input)``.
            states: a list of arrays for each layer.
            length: the number of time steps.
            masks: a dropout mask ``(time, batch, hidden)`` of each layer's output, or None where nothing is dropped;
                None without dropout.
            resets: where states are reset within; None if nowhere.

        Returns:
            The top layer's outputs ``(time, batch, hidden)`` and the states after the last step.
        """
        return self._unroll_from(0, inputs, states, length, masks, [], resets)

    @property
    def reads_tokens(self) -> bool:
        """Whether the lowest layer can read token ids, so that :meth:`unroll_tokens` can be called."""
        return _is_native(self.layers[0])

    def unroll_tokens(
        self,
        tokens: Any,
        embedding: Any | None,
        states: list[list[Any]],
        length: int,
        masks: list[Any] | None = None,
        resets: Resets | None = None,
    ) -> tuple[Any, list[list[Any]]]:
        """Run ``length`` time steps over token ids through all layers.

        Args:
            tokens: int32 ids ``(time, batch)``.
            embedding: the embeddings of all tokens ``(vocabulary, input)``; None for one-hot vectors.
            states: a list of arrays for each layer.
            length: the number of time steps.
            masks: a dropout mask ``(time, batch, hidden)`` of each layer's output, or None where nothing is dropped;
                None without dropout.
            resets: where states are reset within; None if nowhere.

        Returns:
            The top layer's outputs ``(time, batch, hidden)`` and the states after the last step.
        """
        before = None if resets is None else resets.before
        outputs, after = self.layers[0].read_tokens(tokens, states[0], embedding, before)
        if masks is not None and masks[0] is not None:
            outputs = outputs * masks[0]
        return self._unroll_from(1, outputs, states, length, masks, [list(after)], resets)

    def _unroll_from(
        self,
        first: int,
        inputs: Any,
        states: list[list[Any]],
        length: int,
        masks: list[Any] | None,
        new_states: list[list[Any]],
        resets: Resets | None,
    ) -> tuple[Any, list[list[Any]]]:
        for index in range(first, len(self.layers)):
            inputs, after = (
                self.run_layer(index, inputs, states[index], length)
                if resets is None
                else self._run_layer_with_resets(index, inputs, states[index], length, resets)
            )
            if masks is not None and masks[index] is not None:
                inputs = inputs * masks[index]
            new_states.append(after)
        return inputs, new_states

    def run_layer(self, index: int, inputs: Any, states: list[Any], length: int) -> tuple[Any, list[Any]]:
        """Run ``length`` time steps through one layer; a one-step cell is unrolled."""
        layer = self.layers[index]
        with plugin_code(_spec_of(layer)):
            if isinstance(layer, gluon.rnn.RecurrentCell):
                outputs, after = layer.unroll(length, inputs, states, layout="TNC", merge_outputs=True)
            else:
                outputs, after = layer(inputs, states)
            return outputs, list(after)

    def _run_layer_with_resets(
        self, index: int, inputs: Any, states: list[Any], length: int, resets: Resets
    ) -> tuple[Any, list[Any]]:
        """Run a layer, step by step unless it can reset its states itself; this works for any layer."""
        layer, begin = self.layers[index], resets.states[index]
        with plugin_code(_spec_of(layer)):
            if _is_native(layer):
                outputs, after = layer.read_documents(inputs, states, resets.before)
                return outputs, list(after)
            operators = mx.sym if isinstance(inputs, mx.sym.Symbol) else mx.nd
            is_cell = isinstance(layer, gluon.rnn.RecurrentCell)
            if is_cell:
                layer.reset()
            outputs = []
            for step in range(length):
                before = operators.slice_axis(resets.before, axis=0, begin=step, end=step + 1).reshape((-1,))
                states = [operators.where(before, new, old) for new, old in zip(begin, states)]
                read = operators.slice_axis(inputs, axis=0, begin=step, end=step + 1)
                if is_cell:
                    output, states = layer(read.reshape((-3, -2)), states)
                    output = output.expand_dims(0)
                else:
                    output, states = layer(read, states)
                outputs.append(output)
            return operators.concat(*outputs, dim=0), list(states)

    def run_layer_from_end(
        self, F: Any, index: int, inputs: Any, states: list[Any], lengths: Any, time: int
    ) -> tuple[Any, list[Any]]:
        """Run one layer over each sequence of a padded batch from its end to its beginning.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            index: the number of the layer.
            inputs: input vectors ``(time, batch, input)``.
            states: the layer's initial states.
            lengths: int32 lengths of the sequences ``(batch,)``, at least 1.
            time: the number of time steps.

        Returns:
            Outputs ``(time, batch, hidden)``, each at the position of its input, and the states after the first input,
            which is read last.
        """
        layer = self.layers[index]
        if _is_native(layer):
            outputs, after = layer.read_from_end(inputs, states, lengths)
            return outputs, list(after)
        from_end = F.SequenceReverse(inputs, lengths, use_sequence_length=True)
        outputs, after = self.run_layer(index, from_end, states, time)
        return F.SequenceReverse(outputs, lengths, use_sequence_length=True), after


def _spec_of(layer: gluon.HybridBlock) -> Any:
    """Return the record of the plugin that built a layer; None if no plugin did."""
    return getattr(layer, "seqlm_spec", None)


def _is_native(layer: gluon.HybridBlock) -> bool:
    """Whether the native kernels compute a layer, so that it reads in further ways."""
    return getattr(layer, "is_native", False)
