"""What all models have in common: an input, stacks of recurrent layers, and an output head."""

from __future__ import annotations

import contextlib
from typing import Any

from seqlm_core.model.recurrent_layer import RecurrentLayer
from seqlm_core.model.stack import RecurrentStack
from seqlm_core.mxnet import autograd, gluon, mx


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

    def repeatable(self) -> contextlib.AbstractContextManager[Any]:
        """Return the mode in which reading gives the same figures, to the bit, wherever in memory the model lies.

        The path for inference of MXNet's fused operator rounds differently from one place to another, and the figures
        of a resumed training would not be those of an uninterrupted one. Its path for training does not, and has
        nothing else to it, since dropout comes from outside. Layers of others may do something else in training, and
        are read as they are.
        """
        built_in = all(isinstance(layer, RecurrentLayer) for stack in self.stacks.values() for layer in stack.layers)
        return autograd.train_mode() if built_in else contextlib.nullcontext()
