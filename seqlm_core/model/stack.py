"""A stack of recurrent layers in one direction."""

from __future__ import annotations

from typing import Any, Callable

from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.errors import PluginError
from seqlm_core.plugins.foreign import plugin_code


class RecurrentStack(gluon.HybridBlock):
    """Layers of one cell on top of each other, with a dropout mask after each.

    Dropout comes as masks from outside: MXNet's fused operator ignores its own on the CPU, and masks from
    outside make it repeatable.

    Args:
        build_layer: returns a layer for an input size.
        input_size: channels of the lowest layer's input.
        hidden_size: units of each layer.
        layers: how many.
        upper_input_size: channels of the other layers' inputs; ``hidden_size`` without it.
    """

    def __init__(
        self,
        build_layer: Callable[[int], gluon.HybridBlock],
        input_size: int,
        hidden_size: int,
        layers: int,
        upper_input_size: int | None = None,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.input_sizes = [input_size] + [upper_input_size or hidden_size] * (layers - 1)
        self.layers = []
        with self.name_scope():
            for index, size in enumerate(self.input_sizes):
                layer = build_layer(size)
                self.register_child(layer, str(index))
                self.layers.append(layer)
        for name, parameter in self._collect_params_with_prefix().items():
            if parameter.shape is None or 0 in parameter.shape:
                raise PluginError(f"the cell's parameter {name} does not know its shape: give it the input size")

    def begin_state(self, batch_size: int, ctx: mx.Context, dtype: Any) -> list[list[Any]]:
        """Return the states of all layers at the beginning of a text, each ``(batch, ...)``."""
        states = []
        for layer in self.layers:
            with plugin_code(_spec_of(layer)):
                states.append(list(layer.begin_state(batch_size=batch_size, ctx=ctx, dtype=dtype)))
        return states

    def unroll(
        self, inputs: Any, states: list[list[Any]], length: int, masks: list[Any] | None = None
    ) -> tuple[Any, list[list[Any]]]:
        """Run ``length`` time steps through all layers.

        Args:
            inputs: ``(time, batch, input)``.
            states: one list for each layer.
            length: the number of time steps.
            masks: dropout masks ``(time, batch, hidden)``, one for each layer's output.

        Returns:
            The top layer's outputs ``(time, batch, hidden)`` and the states after the last step.
        """
        return self._unroll_from(0, inputs, states, length, masks, [])

    @property
    def reads_tokens(self) -> bool:
        """Whether the lowest layer can read token ids, and :meth:`unroll_tokens` be called."""
        return getattr(self.layers[0], "is_native", False)

    def unroll_tokens(
        self, tokens: Any, embedding: Any | None, states: list[list[Any]], length: int, masks: list[Any] | None = None
    ) -> tuple[Any, list[list[Any]]]:
        """Run ``length`` time steps over token ids through all layers.

        Args:
            tokens: int32 ids ``(time, batch)``.
            embedding: the vectors of all tokens ``(vocabulary, input)``; None for one-hot vectors.
            states: as in :meth:`unroll`, and so are the others, and what is returned.
        """
        outputs, after = self.layers[0].read_tokens(tokens, states[0], embedding)
        if masks is not None:
            outputs = outputs * masks[0]
        return self._unroll_from(1, outputs, states, length, masks, [list(after)])

    def _unroll_from(
        self,
        first: int,
        inputs: Any,
        states: list[list[Any]],
        length: int,
        masks: list[Any] | None,
        new_states: list[list[Any]],
    ) -> tuple[Any, list[list[Any]]]:
        for index in range(first, len(self.layers)):
            inputs, after = self.run_layer(index, inputs, states[index], length)
            if masks is not None:
                inputs = inputs * masks[index]
            new_states.append(after)
        return inputs, new_states

    def run_layer(self, index: int, inputs: Any, states: list[Any], length: int) -> tuple[Any, list[Any]]:
        """Run ``length`` time steps through one layer, a one-step cell being unrolled."""
        layer = self.layers[index]
        with plugin_code(_spec_of(layer)):
            if isinstance(layer, gluon.rnn.RecurrentCell):
                outputs, after = layer.unroll(length, inputs, states, layout="TNC", merge_outputs=True)
            else:
                outputs, after = layer(inputs, states)
            return outputs, list(after)

    def run_layer_from_end(
        self, F: Any, index: int, inputs: Any, states: list[Any], lengths: Any, time: int
    ) -> tuple[Any, list[Any]]:
        """Read each sequence of a padded batch from its end through one layer.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            index: of the layer.
            inputs: ``(time, batch, input)``.
            states: of the layer, before a sequence.
            lengths: int32 ``(batch,)``, at least 1.
            time: the number of time steps.

        Returns:
            Outputs ``(time, batch, hidden)`` at the places of their inputs, and the states after the first input.
        """
        layer = self.layers[index]
        if getattr(layer, "is_native", False):
            outputs, after = layer.read_from_end(inputs, states, lengths)
            return outputs, list(after)
        from_end = F.SequenceReverse(inputs, lengths, use_sequence_length=True)
        outputs, after = self.run_layer(index, from_end, states, time)
        return F.SequenceReverse(outputs, lengths, use_sequence_length=True), after


def _spec_of(layer: gluon.HybridBlock) -> Any:
    """Return the record of the plugin that built a layer; None where a layer was made otherwise."""
    return getattr(layer, "seqlm_spec", None)
