"""The computations that are made with a language model, each a block of its own so that each is one graph.

A block registers only the parts of the model that it uses: gluon warns of parameters that a graph leaves out.
"""

from __future__ import annotations

from typing import Any

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.language_network import LanguageNetwork

# Each graph is always called with the same shapes.
HYBRIDIZATION = {"static_alloc": True, "static_shape": True}


class WindowLoss(gluon.HybridBlock):
    """The training loss of one window."""

    def __init__(self, model: LanguageNetwork, sequence_length: int) -> None:
        super().__init__()
        self.model = model
        self.sequence_length = sequence_length
        self.hybridize(**HYBRIDIZATION)

    def forward(self, *arguments: Any) -> Any:
        # Gluon looks for the device of every argument, which takes as long as calling the graph.
        if self._cached_op is None:
            return super().forward(*arguments)
        with self.model.device:
            return self._call_cached_op(*arguments)

    def hybrid_forward(
        self,
        F: Any,
        inputs: Any,
        targets: Any,
        states: list[list[Any]],
        masks: list[Any] | None,
        following: Any | None,
        backward_states: list[list[Any]],
        backward_masks: list[Any] | None,
        right_visible: Any | None,
    ) -> tuple[Any, list[list[Any]]]:
        """Return the loss of each prediction in nats ``(time, batch)`` and the forward states.

        Args:
            inputs: ids ``(time, batch)``.
            targets: likewise, of the tokens that follow.
            states: forward states, carried over from the window before.
            masks: dropout masks of the forward stack, or None.
            following: the targets but the first, from the last on, ``(time - 1, batch)``; None for a unidirectional
                model, and so are the others of the text that follows.
            backward_states: fresh backward states; empty for a unidirectional model.
            backward_masks: dropout masks of the backward stack ``(time - 1, batch, ..)``, or None.
            right_visible: ``(time, batch, 1)``, 1 where a prediction may use the text that follows, else 0.
        """
        model = self.model
        left, states = model.read_left(inputs, states, self.sequence_length, masks)
        right = None
        if following is not None:
            read, _ = model.read_right(following, backward_states, self.sequence_length - 1, backward_masks)
            aligned = F.reverse(read, axis=0)
            nothing = F.zeros_like(F.slice_axis(aligned, axis=0, begin=0, end=1))
            right = F.broadcast_mul(F.concat(aligned, nothing, dim=0), right_visible)
        return model.head.loss(model.combine(F, left, right), targets), states


class LeftReading(gluon.HybridBlock):
    """Hidden vectors and states after reading from left to right; see :meth:`LanguageNetwork.read_left`.

    Args:
        model: to read with.
        length: the number of time steps.
        any_batch: the number of streams may change from call to call.
    """

    def __init__(self, model: LanguageNetwork, length: int, any_batch: bool = False) -> None:
        super().__init__()
        self._read = model.read_left
        _register(self, model.input, model.forward_stack)
        self.length = length
        self.hybridize(static_alloc=True, static_shape=model.reads_repeatably and not any_batch)

    def hybrid_forward(self, F: Any, tokens: Any, states: list[list[Any]]) -> tuple[Any, list[list[Any]]]:
        return self._read(tokens, states, self.length)


class RightReading(gluon.HybridBlock):
    """Hidden vectors and states after reading from right to left; see :meth:`LanguageNetwork.read_right`.

    Arguments as in :class:`LeftReading`.
    """

    def __init__(self, model: LanguageNetwork, length: int, any_batch: bool = False) -> None:
        super().__init__()
        self._read = model.read_right
        _register(self, model.input, model.backward_stack)
        self.length = length
        self.hybridize(static_alloc=True, static_shape=model.reads_repeatably and not any_batch)

    def hybrid_forward(self, F: Any, tokens: Any, states: list[list[Any]]) -> tuple[Any, list[list[Any]]]:
        return self._read(tokens, states, self.length)


class PredictionLoss(gluon.HybridBlock):
    """The loss of each prediction in nats ``(time, batch)``, given the hidden vectors of both sides."""

    def __init__(self, model: LanguageNetwork) -> None:
        super().__init__()
        self._combine = model.combine
        self.head = model.head
        self.hybridize(**HYBRIDIZATION)

    def hybrid_forward(self, F: Any, left: Any, right: Any | None, targets: Any) -> Any:
        return self.head.loss(self._combine(F, left, right), targets)


class TokenProbabilities(gluon.HybridBlock):
    """Log-probabilities ``(time, batch, vocabulary)`` in nats, given the hidden vectors of both sides."""

    def __init__(self, model: LanguageNetwork) -> None:
        super().__init__()
        self._combine = model.combine
        self.head = model.head
        self.hybridize(static_alloc=True)  # the batch may change

    def hybrid_forward(self, F: Any, left: Any, right: Any | None) -> Any:
        return self.head.log_probabilities(self._combine(F, left, right))


def _register(block: gluon.Block, *parts: gluon.Block) -> None:
    for index, part in enumerate(parts):
        block.register_child(part, str(index))
