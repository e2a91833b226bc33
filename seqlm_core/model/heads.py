"""Output heads: they turn hidden vectors into predictions and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.native import training
from seqlm_core.sequences.label_chains import LabelChain

IMPOSSIBLE = -1e4
"""The bias of a class that cannot occur: its probability is 0 in float32, and a finite number has a gradient."""
# Embeddings that are tied by a projection begin as large as others, so the projection keeps the first scores small: it
# has 0.06 of the usual size, whose magnitude is 3. If instead embeddings begin small, the projection learns too slowly:
# on Penn Treebank's words, two layers of 512 units with embeddings of 256 stay at 6.5 nats for 260 steps.
PROJECTION = mx.init.Xavier(magnitude=3 * 0.06**2)


class OutputLayer(gluon.HybridBlock):
    """What all output layers share."""

    needs_lengths = False
    """Whether the loss of sequences needs their lengths."""

    @property
    def reading(self) -> gluon.HybridBlock:
        """The block that computes what predictions are made of, with no parameters but those that it needs."""
        return self

    def sequence_loss(self, F: Any, hidden: Any, targets: Any, counted: Any, lengths: Any, time: int) -> Any:
        """Return the loss of each prediction of sequences, ``(time, batch)`` or ``(batch,)``.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            hidden: hidden vectors ``(time, batch, hidden)`` or ``(batch, hidden)``.
            targets: what is to be predicted.
            counted: 1 where a target counts, else 0; what is returned for others means nothing.
            lengths: the lengths of the sequences, int32 ``(batch,)``; None unless :attr:`needs_lengths`.
            time: the number of time steps.
        """
        return self.loss(hidden, targets)

    def label_chain(self) -> LabelChain:
        """Return the scores of labels next to each other, of a layer that predicts labels."""
        raise TypeError(f"{type(self).__name__} predicts no labels")


class ClassHead(OutputLayer):
    """What the heads share that predict classes, which are tokens or labels.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def _add_weight(self, rows: int, hidden_size: int, tied_weight: gluon.Parameter | None) -> None:
        """Add weights ``(rows, hidden)``; or the tied ones, and a projection to their length if they need one."""
        if tied_weight is None:
            self.weight = self.params.get("weight", shape=(rows, hidden_size))
            return
        self.weight = tied_weight
        self.params.update({tied_weight.name: tied_weight})
        size = tied_weight.shape[1]
        if size != hidden_size:
            self.projection_weight = self.params.get("projection_weight", shape=(size, hidden_size), init=PROJECTION)
            self.projection_bias = self.params.get("projection_bias", shape=(size,), init="zeros")

    def _projected(self, F: Any, hidden: Any, weight: Any, bias: Any, natively: bool) -> Any:
        """Return the hidden vectors, or their projection if there is one."""
        if weight is None:
            return hidden
        return projected(F, hidden, (self.projection_weight, weight), (self.projection_bias, bias), natively)

    def loss(self, hidden: Any, targets: Any) -> Any:
        """Return the loss of each prediction in nats, ``(time, batch)``.

        Args:
            hidden: hidden vectors ``(time, batch, hidden)`` or ``(batch, hidden)``.
            targets: int32 ids of the classes, ``(time, batch)`` or ``(batch,)``.
        """
        return self(hidden, targets)

    def log_probabilities(self, hidden: Any) -> Any:
        """Return log-probabilities in nats, ``(..., classes)``, for hidden vectors ``(..., hidden)``."""
        return self(hidden)

    def label_chain(self) -> LabelChain:
        return LabelChain.independent(self.classes)


class SoftmaxHead(ClassHead):
    """A linear projection to classes, which are tokens or labels, and a softmax.

    Args:
        classes: number of classes.
        hidden_size: length of the hidden vectors.
        tied_weight: embeddings ``(classes, embedding)`` that are the projection's weights, too; None gives the head
            weights of its own. If their length is another one than that of the hidden vectors, another projection turns
            these into vectors of the embeddings' length.
    """

    def __init__(self, classes: int, hidden_size: int, tied_weight: gluon.Parameter | None = None) -> None:
        super().__init__(classes)
        with self.name_scope():
            self._add_weight(classes, hidden_size, tied_weight)
            self.bias = self.params.get("bias", shape=(classes,), init="zeros")

    def predict_frequencies(self, counts: np.ndarray) -> None:
        """Set the biases so that each class is predicted by its frequency, before anything else is learnt.

        Otherwise a model spends its first steps on learning the frequencies through its layers. On Penn Treebank's
        words, the loss of two layers of 200 units after 400 steps is 5.81 nats with this, and 6.84 without.

        Args:
            counts: how often each class is expected, ``(classes,)``; 0 if it cannot occur, which makes it impossible.
        """
        set_log_frequencies(self.bias, counts)

    def hybrid_forward(
        self,
        F: Any,
        hidden: Any,
        targets: Any = None,
        *,
        weight: Any,
        bias: Any,
        projection_weight: Any = None,
        projection_bias: Any = None,
    ) -> Any:
        natively = targets is not None and training.computes_natively(self.weight)
        hidden = self._projected(F, hidden, projection_weight, projection_bias, natively)
        if natively:
            weight, bias = (
                training.with_own_gradient(F, self.weight, weight),
                training.with_own_gradient(F, self.bias, bias),
            )
            return training.softmax_loss(F, hidden, weight, bias, targets)
        log_probabilities = log_probabilities_of(F, hidden, weight, bias, self.classes)
        if targets is None:
            return log_probabilities
        return -F.pick(log_probabilities, targets, axis=-1)


class ValueHead(OutputLayer):
    """A linear projection to values, whose loss is the squared error.

    Args:
        channels: number of values in each prediction.
        hidden_size: length of the hidden vectors.
    """

    def __init__(self, channels: int, hidden_size: int) -> None:
        super().__init__()
        self.channels = channels
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(channels, hidden_size))
            self.bias = self.params.get("bias", shape=(channels,), init="zeros")

    def loss(self, hidden: Any, targets: Any) -> Any:
        """Return the squared error of each prediction as the mean over its channels, ``(time, batch)``.

        Args:
            hidden: hidden vectors ``(time, batch, hidden)``.
            targets: the true values ``(time, batch, channels)``.
        """
        return self(hidden, targets)

    def hybrid_forward(self, F: Any, hidden: Any, targets: Any = None, *, weight: Any, bias: Any) -> Any:
        """Return the values ``(time, batch, channels)``, or their loss ``(time, batch)`` if there are targets."""
        values = F.FullyConnected(hidden, weight, bias, num_hidden=self.channels, flatten=False)
        return values if targets is None else F.square(values - targets).mean(axis=-1)


def projected(F: Any, hidden: Any, weight: tuple[Any, Any], bias: tuple[Any, Any], natively: bool) -> Any:
    """Return a linear projection of vectors ``(..., hidden)``.

    Args:
        F: ``mx.nd`` or ``mx.sym``.
        hidden: the vectors.
        weight: the parameter ``(outputs, hidden)`` and its array.
        bias: the parameter ``(outputs,)`` and its array.
        natively: whether the native kernels compute it.
    """
    if natively:
        return training.projection(F, hidden, *(training.with_own_gradient(F, *part) for part in (weight, bias)))
    return F.FullyConnected(hidden, weight[1], bias[1], num_hidden=weight[0].shape[0], flatten=False)


def log_probabilities_of(F: Any, hidden: Any, weight: Any, bias: Any, classes: int) -> Any:
    """Return the log-probabilities ``(..., classes)`` of a linear projection with a softmax."""
    return F.log_softmax(F.FullyConnected(hidden, weight, bias, num_hidden=classes, flatten=False), axis=-1)


def set_log_frequencies(bias: gluon.Parameter, counts: np.ndarray) -> None:
    """Set biases to the logarithms of frequencies, ``(classes,)``; a count of 0 makes a class impossible."""
    log_frequencies = np.full(len(counts), IMPOSSIBLE)
    np.log(counts / max(counts.sum(), 1e-300), out=log_frequencies, where=counts > 0)
    bias.set_data(mx.nd.array(log_frequencies, dtype=bias.dtype))
