"""The network of a language model: token ids, recurrent layers in one or two directions, and an output head.

A bidirectional model predicts token ``x[t+1]`` from two hidden vectors: that of the forward layers, which have read the
tokens up to ``x[t]``, and that of the backward layers, which have read the tokens from the last one back to ``x[t+2]``.
The two directions are independent stacks that meet only before the softmax. So neither of them has seen the token that
is predicted.
"""

from __future__ import annotations

from typing import Any, Callable

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.adaptive_head import AdaptiveHead
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.heads import SoftmaxHead
from seqlm_core.model.inputs import EmbeddingInput, token_input
from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.model.stack import RecurrentStack, Resets

# A graph is made once, but the batch size can change from call to call. So this batch size is assumed when a window's
# number of tokens is compared with the size of the vocabulary.
ASSUMED_BATCH_SIZE = 16


class LanguageNetwork(RecurrentNetwork):
    """The network of a language model.

    Its parts are called by the blocks of :mod:`seqlm_core.model.graphs`, each of which is one hybridized graph.

    Args:
        architecture: the sizes.
        build_layer: a function of ``(input_size, hidden_size)`` that returns one recurrent layer.
    """

    def __init__(
        self, architecture: LanguageArchitecture, build_layer: Callable[[int, int], gluon.HybridBlock]
    ) -> None:
        super().__init__()
        self.architecture = a = architecture
        with self.name_scope():
            self.input = token_input(a.vocabulary_size, a.embedding_size, a.tie_weights and not a.has_projection)
            self.forward_stack = RecurrentStack(build_layer, self.input.size, a.hidden_sizes)
            self.backward_stack: RecurrentStack | None = None
            if a.bidirectional:
                self.backward_stack = RecurrentStack(build_layer, self.input.size, a.hidden_sizes)
            tied_weight = self.input.weight if a.tie_weights else None
            self.head = (
                AdaptiveHead(a.vocabulary_size, a.head_size, a.clusters, tied_weight)
                if a.clusters
                else SoftmaxHead(a.vocabulary_size, a.head_size, tied_weight)
            )

    @property
    def stacks(self) -> dict[str, RecurrentStack]:
        found = {"forward_stack": self.forward_stack}
        return found if self.backward_stack is None else {**found, "backward_stack": self.backward_stack}

    @property
    def mask_sizes(self) -> list[int]:
        """The sizes of the dropout masks of one direction: of the input, and of each layer."""
        return [self.input.size, *self.architecture.hidden_sizes]

    def begin_state(self, batch_size: int) -> list[list[Any]]:
        """Return the forward states at the beginning of a text: a list of arrays for each layer."""
        return self.forward_stack.begin_state(batch_size, self.device, self.dtype)

    def begin_backward_state(self, batch_size: int) -> list[list[Any]]:
        """Return the backward states at the end of a text; empty for a unidirectional model."""
        if self.backward_stack is None:
            return []
        return self.backward_stack.begin_state(batch_size, self.device, self.dtype)

    def reset_states(self, batch_size: int) -> list[list[Any]]:
        """Return the forward states of :class:`Resets`."""
        return self.forward_stack.reset_states(batch_size, self.device, self.dtype)

    def backward_reset_states(self, batch_size: int) -> list[list[Any]]:
        """Return the backward states of :class:`Resets`; empty for a unidirectional model."""
        if self.backward_stack is None:
            return []
        return self.backward_stack.reset_states(batch_size, self.device, self.dtype)

    def read_left(
        self,
        tokens: Any,
        states: list[list[Any]],
        length: int,
        masks: list[Any] | None = None,
        resets: Resets | None = None,
        rows: EmbeddingInput | None = None,
    ) -> tuple[Any, list[list[Any]]]:
        """Read tokens from left to right.

        Args:
            tokens: ids ``(time, batch)``.
            states: from :meth:`begin_state` or an earlier call.
            length: the number of time steps.
            masks: the mask of all tokens' embeddings ``(vocabulary, embedding)``, then those ``(time, batch, size)`` of
                the sizes in :attr:`mask_sizes`; a mask may be None. None without dropout.
            resets: where states are reset within; None if nowhere.
            rows: some rows of the embeddings, if ``tokens`` are their places among these; None reads the network's own.

        Returns:
            The hidden vectors after each token, ``(time, batch, hidden)``, and the new states.
        """
        return self._read(self.forward_stack, tokens, states, length, masks, resets, rows)

    def read_right(
        self,
        tokens: Any,
        states: list[list[Any]],
        length: int,
        masks: list[Any] | None = None,
        resets: Resets | None = None,
        rows: EmbeddingInput | None = None,
    ) -> tuple[Any, list[list[Any]]]:
        """Read tokens from right to left.

        The arguments are those of :meth:`read_left`, except that ``tokens`` come in the order in which they are read:
        the last token of the text is the first.

        Returns:
            The hidden vectors after each token, ``(time, batch, hidden)``, in the same order, and the new states.
        """
        return self._read(self.backward_stack, tokens, states, length, masks, resets, rows)

    def combine(self, F: Any, left: Any, right: Any | None) -> Any:
        """Combine the hidden vectors of both directions, ``(time, batch, hidden)``, to what the head reads.

        They are concatenated, so that the head adds a projection of each. With tied weights of their size both would
        have the same projection, so the vectors themselves are added.
        """
        if right is None:
            return left
        return left + right if self.architecture.adds_directions else F.concat(left, right, dim=2)

    def _read(
        self,
        stack: Any,
        tokens: Any,
        states: list[list[Any]],
        length: int,
        masks: list[Any] | None,
        resets: Resets | None,
        rows: EmbeddingInput | None,
    ) -> tuple[Any, list[list[Any]]]:
        of_tokens, of_inputs, *of_layers = masks or [None, None]
        if rows is None and of_inputs is None and self.reads_table(length):
            vectors = self.input.vectors(tokens)
            vectors = vectors if of_tokens is None else vectors * of_tokens
            return stack.unroll_tokens(tokens, vectors, states, length, of_layers or None, resets)
        inputs = (rows or self.input)(tokens)
        inputs = inputs if of_inputs is None else inputs * of_inputs
        return stack.unroll(inputs, states, length, of_layers or None, resets)

    def reads_table(self, length: int) -> bool:
        """Whether the lowest layer reads a table with a row for each token, if there is no dropout of its inputs.

        It does so if multiplying the embeddings of all tokens by the weights is less work than those of all time steps.
        """
        few_tokens = self.architecture.vocabulary_size <= ASSUMED_BATCH_SIZE * length
        return self.forward_stack.reads_tokens and (few_tokens or not self.input.is_learnt)
