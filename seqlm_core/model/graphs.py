"""What is computed with a language model: one block for each computation, so that each is one graph.

A block registers only the parts of the network that it uses, since gluon warns of parameters that a graph does not use.
Where states are reset within, a block is given the two attributes of :class:`~seqlm_core.model.stack.Resets` as a list,
since its arguments may only be arrays and lists of arrays.
"""

from __future__ import annotations

from typing import Any, Callable

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.inputs import EmbeddingInput
from seqlm_core.model.language_network import LanguageNetwork
from seqlm_core.model.penalties import NO_PENALTIES, Penalties
from seqlm_core.model.stack import Resets
from seqlm_core.native import training

# For graphs that are always called with the same shapes.
HYBRIDIZATION = {"static_alloc": True, "static_shape": True}


class WindowLoss(gluon.HybridBlock):
    """The training loss of one window.

    Args:
        network: the language model.
        sequence_length: the number of time steps.
        penalties: the penalties on the outputs.
        rows: some rows of the embeddings, which are read in place of the network's own; None if they are not.
    """

    def __init__(
        self,
        network: LanguageNetwork,
        sequence_length: int,
        penalties: Penalties = NO_PENALTIES,
        rows: EmbeddingInput | None = None,
    ) -> None:
        super().__init__()
        self._read_left, self._read_right, self._combine = network.read_left, network.read_right, network.combine
        self.device = network.device
        self.head = network.head
        self.rows = rows
        _register(self, *network.stacks.values(), *([] if rows is not None else [network.input]))
        self.penalties = penalties
        self.sequence_length = sequence_length
        self.hybridize(**HYBRIDIZATION)

    def forward(self, *arguments: Any) -> Any:
        # Gluon would look up the device of every argument, which takes as long as the call of the graph.
        if self._cached_op is None:
            return super().forward(*arguments)
        with self.device:
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
        resets: list[Any] | None = None,
        backward_resets: list[Any] | None = None,
    ) -> tuple[Any, list[list[Any]]]:
        """Return the loss of each prediction in nats ``(time, batch)``, and the new forward states.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            inputs: ids of the tokens that are read, ``(time, batch)``, or their places among the rows.
            targets: ids of the tokens that are predicted, ``(time, batch)``.
            states: forward states, from the end of the window before.
            masks: dropout masks of the forward stack; None without dropout.
            following: the targets without the first, in reverse order, ``(time - 1, batch)``, or their places; None for
                a unidirectional model.
            backward_states: backward states before anything was read; empty for a unidirectional model.
            backward_masks: dropout masks of the backward stack ``(time - 1, batch, ...)``; None without dropout or for
                a unidirectional model.
            right_visible: ``(time, batch, 1)``, 1 where a prediction may use the text that follows, else 0; None for a
                unidirectional model.
            resets: where forward states are reset; None if nowhere.
            backward_resets: the same of backward states, which read ``following``.
        """
        length = self.sequence_length
        left, states = self._read_left(inputs, states, length, masks, _resets(resets), self.rows)
        right = None
        if following is not None:
            read, _ = self._read_right(
                following, backward_states, length - 1, backward_masks, _resets(backward_resets), self.rows
            )
            aligned = F.reverse(read, axis=0)
            nothing = F.zeros_like(F.slice_axis(aligned, axis=0, begin=0, end=1))
            right = F.broadcast_mul(F.concat(aligned, nothing, dim=0), right_visible)
        outputs = self._combine(F, left, right)
        natively = training.block_computes_natively(self.head)
        return self.penalties.add(F, self.head.loss(outputs, targets), outputs, natively), states


class LeftReading(gluon.HybridBlock):
    """Computes hidden vectors and states from left to right; see :meth:`LanguageNetwork.read_left`.

    Args:
        network: the language model.
        length: the number of time steps.
        any_batch: whether the number of streams may change from call to call.
    """

    def __init__(self, network: LanguageNetwork, length: int, any_batch: bool = False) -> None:
        super().__init__()
        self._read, stack = self._direction(network)
        _register(self, network.input, stack)
        self.length = length
        self.hybridize(static_alloc=True, static_shape=network.reads_repeatably and not any_batch)

    @staticmethod
    def _direction(network: LanguageNetwork) -> tuple[Callable[..., Any], Any]:
        return network.read_left, network.forward_stack

    def hybrid_forward(
        self, F: Any, tokens: Any, states: list[list[Any]], resets: list[Any] | None = None
    ) -> tuple[Any, list[list[Any]]]:
        return self._read(tokens, states, self.length, resets=_resets(resets))


class RightReading(LeftReading):
    """Computes hidden vectors and states from right to left; see :meth:`LanguageNetwork.read_right`."""

    @staticmethod
    def _direction(network: LanguageNetwork) -> tuple[Callable[..., Any], Any]:
        return network.read_right, network.backward_stack


class PredictionLoss(gluon.HybridBlock):
    """Computes the loss of each prediction in nats ``(time, batch)`` from the hidden vectors of both directions."""

    def __init__(self, network: LanguageNetwork) -> None:
        super().__init__()
        self._combine = network.combine
        self.head = network.head
        self.hybridize(**HYBRIDIZATION)

    def hybrid_forward(self, F: Any, left: Any, right: Any | None, targets: Any) -> Any:
        return self.head.loss(self._combine(F, left, right), targets)


class LeftLoss(gluon.HybridBlock):
    """Computes the losses, hidden vectors and states of a unidirectional model over a window.

    Args:
        network: the language model.
        length: the number of time steps.
    """

    def __init__(self, network: LanguageNetwork, length: int) -> None:
        super().__init__()
        self._read = network.read_left
        self.head = network.head
        _register(self, network.input, network.forward_stack)
        self.length = length
        self.hybridize(static_alloc=True, static_shape=network.reads_repeatably)

    def hybrid_forward(
        self, F: Any, tokens: Any, targets: Any, states: list[list[Any]], resets: list[Any] | None = None
    ) -> tuple[Any, Any, list[list[Any]]]:
        """Return losses in nats ``(time, batch)``, hidden vectors ``(time, batch, hidden)``, and the new states."""
        hidden, states = self._read(tokens, states, self.length, resets=_resets(resets))
        return self.head.loss(hidden, targets), hidden, states


class TokenLogProbabilities(gluon.HybridBlock):
    """Computes log-probabilities in nats ``(time, batch, vocabulary)`` from the hidden vectors of both directions."""

    def __init__(self, network: LanguageNetwork) -> None:
        super().__init__()
        self._combine = network.combine
        self.head = network.head
        self.hybridize(static_alloc=True)  # no static shapes, since the batch size may change

    def hybrid_forward(self, F: Any, left: Any, right: Any | None) -> Any:
        return self.head.log_probabilities(self._combine(F, left, right))


def _resets(given: list[Any] | None) -> Resets | None:
    return None if given is None else Resets(*given)


def _register(block: gluon.Block, *parts: gluon.Block) -> None:
    for index, part in enumerate(parts):
        block.register_child(part, str(index))
