"""What all models have in common: an input, stacks of recurrent layers, and an output head."""

from __future__ import annotations

import contextlib
from typing import Any

from seqlm_core.engine.mxnet import autograd, gluon, mx
from seqlm_core.model.recurrent_layer import RecurrentLayer
from seqlm_core.model.stack import RecurrentStack


class RecurrentNetwork(gluon.HybridBlock):
    """A model with parts ``input`` and ``head``, and stacks of one cell between them.

    Its parts run inside blocks that are one hybridized graph each, for the language model those of
    :mod:`seqlm_core.model.graphs`.
    """

    input: Any
    head: Any

    @property
    def stacks(self) -> dict[str, RecurrentStack]:
        """The stacks of recurrent layers by their name in the model."""
        raise NotImplementedError

    @property
    def device(self) -> mx.Context:
        """Where the parameters are."""
        return self.head.bias.list_ctx()[0]

    @property
    def dtype(self) -> Any:
        """The type of parameters and states, ``float32`` unless cast."""
        return self.head.bias.dtype

    @property
    def input_mask_sizes(self) -> list[int]:
        """Channels of the inputs' dropout mask, if there is one: only of what is learnt something is dropped."""
        return [self.input.size] if self.input.is_learnt else []

    @property
    def reads_repeatably(self) -> bool:
        """Whether a graph of static shapes gives the same figures, to the bit, whenever it is made anew.

        In such a graph MXNet's fused operator takes one of two paths, which round differently, as chance has it, unless
        it is in training mode; and the figures of a resumed training would not be those of an uninterrupted one. Only
        our own layers can be in that mode while figures are taken, as nothing in them differs there: dropout comes from
        outside. What others derive from them may drop out by itself, so the graphs of all other layers do without
        static shapes, which takes longer.
        """
        return all(type(layer) is RecurrentLayer for stack in self.stacks.values() for layer in stack.layers)

    def repeatable(self) -> contextlib.AbstractContextManager[Any]:
        """Return the mode in which to take figures; see :attr:`reads_repeatably`."""
        return autograd.train_mode() if self.reads_repeatably else contextlib.nullcontext()
