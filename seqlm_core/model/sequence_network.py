"""The network of a sequence model: inputs of any kind, recurrent layers over whole sequences, and a head."""

from __future__ import annotations

from typing import Any, Callable

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.model.crf_head import CRFHead
from seqlm_core.model.heads import SoftmaxHead, ValueHead
from seqlm_core.model.inputs import EmbeddingInput, ValueInput, token_input, tuning_input
from seqlm_core.model.joined_input import JoinedInput
from seqlm_core.model.penalties import NO_PENALTIES, Penalties
from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.model.sequence_stack import SequenceStack
from seqlm_core.model.stack import RecurrentStack
from seqlm_core.native import training
from seqlm_core.sequences.encoded_sequences import LONGEST_SPELLING

LayerBuilder = Callable[[int, int], gluon.HybridBlock]


class SequenceNetwork(RecurrentNetwork):
    """Maps each sequence of a padded batch to a label or values for each time step, or to one label.

    Its parts are called by the blocks below, each of which is one hybridized graph for one number of time steps. They
    take, in this order,

    - ``inputs``: those of a :class:`~seqlm_core.sequences.batches.Batch`;
    - ``lengths (batch,)`` of the sequences, at least 1; None if not :attr:`reads_lengths`;
    - ``states``: from :meth:`begin_state`;
    - ``masks``: dropout masks ``(time, batch, size)`` of the sizes in :attr:`mask_sizes`, each of which may be None;
      None without dropout.

    Args:
        architecture: sizes and kinds.
        build_layer: a function of ``(input_size, hidden_size)`` that returns one recurrent layer.
        build_char_layer: the same for the layer that reads characters; None if none are read.
    """

    def __init__(
        self,
        architecture: SequenceArchitecture,
        build_layer: LayerBuilder,
        build_char_layer: LayerBuilder | None = None,
    ) -> None:
        super().__init__()
        self.architecture = a = architecture
        with self.name_scope():
            if a.inputs == "values":
                self.input = ValueInput(a.input_size)
            elif a.reads_tokens_only:
                self.input = token_input(a.input_size, a.embedding_size)
            else:
                self.input = _joined_input(a, build_char_layer)
            # The attribute is called `encoder` since checkpoints name the parameters so.
            self.encoder = SequenceStack(build_layer, self.input.size, a.hidden_sizes, a.bidirectional)
            head = ValueHead if a.outputs == "values" else CRFHead if a.crf else SoftmaxHead
            self.head = head(a.output_size, self.encoder.size)

    @property
    def stacks(self) -> dict[str, RecurrentStack]:
        found = {f"encoder.{name}": stack for name, stack in self.encoder.stacks.items()}
        if self.architecture.characters:
            found.update({f"input.encoder.{name}": stack for name, stack in self.input.encoder.stacks.items()})
        return found

    @property
    def mask_sizes(self) -> list[int]:
        """The sizes of the dropout masks: of the input, and of each layer."""
        return [self.input.size, *self.encoder.sizes]

    @property
    def reads_lengths(self) -> bool:
        """Whether the network needs the lengths of sequences.

        A network in one direction with an output for each time step does not: padding comes after all that counts.
        """
        return self.architecture.bidirectional or self.architecture.outputs == "label"

    def begin_state(self, time: int, batch_size: int) -> list[Any]:
        """Return the initial states of the stack, and of the stack that reads characters if there is one."""
        states = [self.encoder.begin_state(batch_size, self.device, self.dtype)]
        if self.architecture.characters:
            states.append(self.input.encoder.begin_state(time * batch_size, self.device, self.dtype))
        return states

    def embed(self, F: Any, inputs: list[Any], states: list[Any], time: int) -> Any:
        """Return the vectors that the lowest layer reads, ``(time, batch, channels)``."""
        if not isinstance(self.input, JoinedInput):
            return self.input(inputs[0])
        return self.input.read(F, inputs, states[1] if self.architecture.characters else None, time, LONGEST_SPELLING)

    def hidden(
        self, F: Any, inputs: list[Any], lengths: Any, states: list[Any], masks: list[Any] | None, time: int
    ) -> Any:
        """Return the vectors that the head reads: ``(time, batch, hidden)``, or ``(batch, hidden)`` for one label."""
        embedded = self.embed(F, inputs, states, time)
        if masks is not None and masks[0] is not None:
            embedded = embedded * masks[0]
        outputs = self.encoder.unroll(F, embedded, lengths, states[0], time, masks and masks[1:])
        return self.encoder.summary(F, outputs, lengths) if self.architecture.outputs == "label" else outputs


def _joined_input(a: SequenceArchitecture, build_char_layer: LayerBuilder | None) -> JoinedInput:
    make_input: Callable[..., Any] = tuning_input if a.tuned_vectors else token_input
    tokens = make_input(a.input_size, a.embedding_size)
    columns = [EmbeddingInput(entries, a.column_embedding_size) for entries in a.columns]
    if not a.characters or build_char_layer is None:
        return JoinedInput(tokens, columns, a.vectors, a.tuned_vectors)
    encoder = SequenceStack(build_char_layer, a.char_hidden_size, [a.char_hidden_size], a.char_bidirectional)
    characters = EmbeddingInput(a.characters, a.char_hidden_size)
    return JoinedInput(tokens, columns, a.vectors, a.tuned_vectors, characters, encoder)


class SequenceLoss(gluon.HybridBlock):
    """Computes the loss of each prediction of a batch, ``(time, batch)`` or ``(batch,)``.

    It is called with ``(inputs, lengths, states, masks, targets, counted)``. ``targets`` are ids of labels, or values.
    ``counted`` is 1 where a prediction counts, and 0 elsewhere, where the loss is then 0. ``lengths`` are None if
    neither network nor output layer needs them.
    """

    def __init__(self, network: SequenceNetwork, time: int, penalties: Penalties = NO_PENALTIES) -> None:
        super().__init__()
        self.network = network
        self.time = time
        self.penalties = penalties
        self.hybridize(static_alloc=True, static_shape=True)

    def hybrid_forward(
        self, F: Any, inputs: list[Any], lengths: Any, states: list[Any], masks: Any, targets: Any, counted: Any
    ) -> Any:
        read_lengths = lengths if self.network.reads_lengths else None
        hidden = self.network.hidden(F, inputs, read_lengths, states, masks, self.time)
        losses = self.network.head.sequence_loss(F, hidden, targets, counted, lengths, self.time)
        natively = training.block_computes_natively(self.network.head)
        return self.penalties.add(F, losses, hidden, natively) * counted


class SequenceOutputs(gluon.HybridBlock):
    """Computes scores of labels in nats, or values: ``(time, batch, size)`` or ``(batch, size)``.

    Scores are those that the network's chain of labels goes with; of a softmax, they are log-probabilities.

    It is called with ``(inputs, lengths, states)``. Outputs beyond the end of a sequence have no meaning.
    """

    def __init__(self, network: SequenceNetwork, time: int) -> None:
        super().__init__()
        self._hidden = network.hidden
        self.input, self.encoder, self.head = network.input, network.encoder, network.head.reading
        self.time = time
        self.hybridize(static_alloc=True, static_shape=network.reads_repeatably)

    def hybrid_forward(self, F: Any, inputs: list[Any], lengths: Any, states: list[Any]) -> Any:
        return self.head(self._hidden(F, inputs, lengths, states, None, self.time))
