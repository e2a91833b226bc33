"""The language model: token ids, recurrent layers in one or two directions, and an output head.

A bidirectional model predicts token ``x[t+1]`` from what the forward layers made of ``x[..t]`` and what the
backward layers made of the tokens after it, read from the right, ``.. x[t+3] x[t+2]``. The two directions are
independent stacks that meet only before the softmax, so neither has seen the token that is predicted.
"""

from __future__ import annotations

from typing import Any, Callable

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.heads import SoftmaxHead
from seqlm_core.model.inputs import token_input
from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.model.stack import RecurrentStack

# The streams that are read side by side when time steps are compared with the vocabulary; their number can change from
# call to call, and the graph is made once.
ROWS_SIDE_BY_SIDE = 16


class LanguageNetwork(RecurrentNetwork):
    """A recurrent language model.

    Its parts run inside the blocks of :mod:`seqlm_core.model.graphs`, each of which is one hybridized graph.

    Args:
        architecture: the sizes.
        build_layer: returns one recurrent layer for ``(input_size, hidden_size)``.
    """

    def __init__(
        self, architecture: LanguageArchitecture, build_layer: Callable[[int, int], gluon.HybridBlock]
    ) -> None:
        super().__init__()
        self.architecture = a = architecture

        def build(input_size: int) -> gluon.HybridBlock:
            return build_layer(input_size, a.hidden_size)

        with self.name_scope():
            self.input = token_input(a.vocabulary_size, a.embedding_size)
            self.forward_stack = RecurrentStack(build, self.input.size, a.hidden_size, a.layers)
            self.backward_stack: RecurrentStack | None = None
            if a.bidirectional:
                self.backward_stack = RecurrentStack(build, self.input.size, a.hidden_size, a.layers)
            directions = 2 if a.bidirectional and not a.tie_weights else 1
            self.head = SoftmaxHead(
                a.vocabulary_size,
                directions * a.hidden_size,
                tied_weight=self.input.weight if a.tie_weights else None,
            )

    @property
    def stacks(self) -> dict[str, RecurrentStack]:
        found = {"forward_stack": self.forward_stack}
        return found if self.backward_stack is None else {**found, "backward_stack": self.backward_stack}

    @property
    def mask_sizes(self) -> list[int]:
        """Channels of the dropout masks of one direction: of the embeddings, if any, and of each layer."""
        return self.input_mask_sizes + [self.architecture.hidden_size] * self.architecture.layers

    def begin_state(self, batch_size: int) -> list[list[Any]]:
        """Return the forward states at the beginning of a text: one list for each layer."""
        return self.forward_stack.begin_state(batch_size, self.device, self.dtype)

    def begin_backward_state(self, batch_size: int) -> list[list[Any]]:
        """Return the backward states before anything was read; empty for a unidirectional model."""
        if self.backward_stack is None:
            return []
        return self.backward_stack.begin_state(batch_size, self.device, self.dtype)

    def read_left(
        self, tokens: Any, states: list[list[Any]], length: int, masks: list[Any] | None = None
    ) -> tuple[Any, list[list[Any]]]:
        """Read from left to right.

        Args:
            tokens: ids ``(time, batch)``.
            states: from :meth:`begin_state` or an earlier call.
            length: the number of time steps.
            masks: dropout masks: one for the embeddings where there are embeddings, then one for each layer's
                output ``(time, batch, hidden)``.

        Returns:
            Hidden vectors ``(time, batch, hidden)``, each after reading the token at its place, and the states.
        """
        return self._read(self.forward_stack, tokens, states, length, masks)

    def read_right(
        self, tokens: Any, states: list[list[Any]], length: int, masks: list[Any] | None = None
    ) -> tuple[Any, list[list[Any]]]:
        """Read ``tokens``, which come in reading order, from right to left in the text.

        Returns:
            Hidden vectors ``(time, batch, hidden)`` in reading order, and the states. Arguments as in
            :meth:`read_left`.
        """
        return self._read(self.backward_stack, tokens, states, length, masks)

    def combine(self, F: Any, left: Any, right: Any | None) -> Any:
        """Return what the head reads, of both directions' hidden vectors ``(time, batch, hidden)``.

        Side by side, so that their two projections are added; with tied weights, whose two projections are the
        same one, added at once.
        """
        if right is None:
            return left
        return left + right if self.architecture.tie_weights else F.concat(left, right, dim=2)

    def _read(
        self, stack: Any, tokens: Any, states: list[list[Any]], length: int, masks: list[Any] | None
    ) -> tuple[Any, list[list[Any]]]:
        if masks is not None and self.input.is_learnt:
            return stack.unroll(self.input(tokens) * masks[0], states, length, masks[1:])
        if stack.reads_tokens and (not self.input.is_learnt or self._has_few_tokens(length)):
            return stack.unroll_tokens(tokens, self.input.vectors(tokens), states, length, masks)
        return stack.unroll(self.input(tokens), states, length, masks)

    def _has_few_tokens(self, length: int) -> bool:
        """Whether it takes less to multiply every token's embedding by the weights than that of every time step."""
        return self.architecture.vocabulary_size <= ROWS_SIDE_BY_SIDE * length
