"""What all networks have in common: an input, stacks of recurrent layers, and an output head."""

from __future__ import annotations

import contextlib
from typing import Any

from seqlm_core.engine.mxnet import autograd, gluon, mx
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.model.recurrent_layer import RecurrentLayer
from seqlm_core.model.stack import RecurrentStack


class RecurrentNetwork(gluon.HybridBlock):
    """A network with an ``input``, a ``head``, and stacks of recurrent layers between them.

    Its parts are called by other blocks, each of which is one hybridized graph. Those of a language model are in
    :mod:`seqlm_core.model.graphs`.
    """

    input: Any
    head: Any

    @property
    def stacks(self) -> dict[str, RecurrentStack]:
        """The stacks of recurrent layers, by their names in the network."""
        raise NotImplementedError

    @property
    def device(self) -> mx.Context:
        """The device that the parameters are on."""
        return self.head.reading.bias.list_ctx()[0]

    @property
    def dtype(self) -> Any:
        """The type of parameters and states; ``float32`` unless the network was cast."""
        return self.head.reading.bias.dtype

    @property
    def recurrent_weights(self) -> dict[str, Any]:
        """The parameters that the cells declare as recurrent weights, by their names in the network."""
        declared = {
            id(parameter)
            for stack in self.stacks.values()
            for layer in stack.layers
            for name, parameter in layer._collect_params_with_prefix().items()
            if name.rpartition(".")[2] in layer.seqlm_spec.recurrent_weights
        }
        return {name: parameter for name, parameter in unique_parameters(self).items() if id(parameter) in declared}

    @property
    def reads_repeatably(self) -> bool:
        """Whether a graph with static shapes gives the same results, to the bit, each time that it is made anew.

        In such a graph MXNet's fused operator takes one of two code paths, which round differently; chance decides
        which. Then the figures of a resumed training would differ from those of an uninterrupted one. In training mode
        the operator always takes the same path. Our own layers can be evaluated in that mode, since they compute the
        same in both: their dropout masks come from outside. Layers that others derive from them may have dropout of
        their own. So the graphs of all other layers have no static shapes, which is slower.
        """
        return all(type(layer) is RecurrentLayer for stack in self.stacks.values() for layer in stack.layers)

    def repeatable(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which evaluation is repeatable to the bit; see :attr:`reads_repeatably`."""
        return autograd.train_mode() if self.reads_repeatably else contextlib.nullcontext()
