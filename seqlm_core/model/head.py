"""Output heads: what a model makes of its hidden vectors."""

from __future__ import annotations

from typing import Any

from seqlm_core.mxnet import gluon


class SoftmaxHead(gluon.HybridBlock):
    """A linear projection to the vocabulary and a softmax.

    Args:
        vocabulary_size: number of tokens.
        hidden_size: channels of the hidden vectors.
        tied_weight: the embeddings ``(vocabulary, hidden)``, to use as the weights.
    """

    def __init__(self, vocabulary_size: int, hidden_size: int, tied_weight: gluon.Parameter | None = None):
        super().__init__()
        self.vocabulary_size = vocabulary_size
        with self.name_scope():
            if tied_weight is None:
                self.weight = self.params.get("weight", shape=(vocabulary_size, hidden_size))
            else:
                self.weight = tied_weight
                self.params.update({tied_weight.name: tied_weight})
            self.bias = self.params.get("bias", shape=(vocabulary_size,), init="zeros")

    def loss(self, hidden: Any, targets: Any) -> Any:
        """Return the loss of each prediction in nats, ``(time, batch)``.

        Args:
            hidden: ``(time, batch, hidden)``.
            targets: token ids ``(time, batch)``.
        """
        return self(hidden, targets)

    def log_probabilities(self, hidden: Any) -> Any:
        """Return log-probabilities in nats, ``(..., vocabulary)``, for hidden vectors ``(..., hidden)``."""
        return self(hidden)

    def hybrid_forward(self, F: Any, hidden: Any, targets: Any = None, *, weight: Any, bias: Any) -> Any:
        scores = F.FullyConnected(hidden, weight, bias, num_hidden=self.vocabulary_size, flatten=False)
        log_probabilities = F.log_softmax(scores, axis=-1)
        if targets is None:
            return log_probabilities
        return -F.pick(log_probabilities, targets, axis=-1)
