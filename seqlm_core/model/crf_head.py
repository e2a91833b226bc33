"""A linear-chain conditional random field over the labels of a sequence (Lafferty et al. 2001, Lample et al. 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.heads import IMPOSSIBLE, OutputLayer, projected
from seqlm_core.native import training
from seqlm_core.sequences.label_chains import LabelChain


class CRFHead(OutputLayer):
    """Scores of labels at their places, by a linear projection, and of labels that follow each other.

    Args:
        labels: the number of labels.
        hidden_size: length of the hidden vectors.
    """

    needs_lengths = True

    def __init__(self, labels: int, hidden_size: int) -> None:
        super().__init__()
        with self.name_scope():
            self.scores = LabelScores(labels, hidden_size)
            self.chain = ChainLoss(labels)

    @property
    def reading(self) -> gluon.HybridBlock:
        return self.scores

    def sequence_loss(self, F: Any, hidden: Any, targets: Any, counted: Any, lengths: Any, time: int) -> Any:
        """Return the negative log-probability of each sequence's labels, shared evenly by those that count."""
        known = F.cast((F.cast(targets, "float32") + 1) * F.cast(counted, "float32") - 1, "int32")
        scores = self.scores(hidden)
        if not training.computes_natively(self.chain.first):
            scores, known = _steps(F, scores, time), _steps(F, known, time)
        labels = F.sum(counted, axis=0)
        share = self.chain(scores, known, lengths) / (labels + (labels == 0))
        return F.broadcast_mul(counted, F.expand_dims(share, axis=0))

    def label_chain(self) -> LabelChain:
        parameters = self.chain.first, self.chain.transitions, self.chain.last
        return LabelChain(*(parameter.list_data()[0].asnumpy().astype(np.float64) for parameter in parameters))


class LabelScores(gluon.HybridBlock):
    """The score of each label at each place, in nats: ``(..., labels)`` for hidden vectors ``(..., hidden)``."""

    def __init__(self, labels: int, hidden_size: int) -> None:
        super().__init__()
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(labels, hidden_size))
            self.bias = self.params.get("bias", shape=(labels,), init="zeros")

    def hybrid_forward(self, F: Any, hidden: Any, *, weight: Any, bias: Any) -> Any:
        natively = training.computes_natively(self.weight)
        return projected(F, hidden, (self.weight, weight), (self.bias, bias), natively)


class ChainLoss(gluon.HybridBlock):
    """The negative log-probability of sequences of labels, in nats, given their scores."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels
        with self.name_scope():
            self.first = self.params.get("first", shape=(labels,), init="zeros")
            self.transitions = self.params.get("transitions", shape=(labels, labels), init="zeros")
            self.last = self.params.get("last", shape=(labels,), init="zeros")

    def hybrid_forward(
        self, F: Any, scores: Any, targets: Any, lengths: Any, *, first: Any, transitions: Any, last: Any
    ) -> Any:
        """Return the loss of each sequence, ``(batch,)``.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            scores: ``(time, batch, labels)``; without native kernels, a list of those of each time step.
            targets: the labels, int32 ``(time, batch)``, or such a list; -1 stands for any label.
            lengths: the lengths of the sequences, int32 ``(batch,)``, at least 1.
            first: the score of each label at the beginning, ``(labels,)``.
            transitions: of each label after another, ``(labels, labels)``.
            last: of each label at the end, ``(labels,)``.
        """
        if not isinstance(scores, list):
            parameters = ((self.first, first), (self.transitions, transitions), (self.last, last))
            own = [training.with_own_gradient(F, *parameter) for parameter in parameters]
            return training.chain_loss(F, scores, own[0], own[1], own[2], targets, lengths)
        fitting = [score + self._impossible(F, target) for score, target in zip(scores, targets)]
        chain = [first, transitions, last]
        return self._log_sum(F, scores, lengths, *chain) - self._log_sum(F, fitting, lengths, *chain)

    def _impossible(self, F: Any, target: Any) -> Any:
        """Return 0 for the label that is the target, or for all if it may be any, and else what makes it impossible."""
        dtype = self.first.dtype
        is_any = F.expand_dims(F.cast(target < 0, dtype), axis=1)
        return (1 - F.broadcast_maximum(F.one_hot(target, self.labels, dtype=dtype), is_any)) * IMPOSSIBLE

    def _log_sum(self, F: Any, scores: list[Any], lengths: Any, first: Any, transitions: Any, last: Any) -> Any:
        """Return the logarithm of the sum over all sequences of labels, ``(batch,)``, by the forward algorithm."""
        pairs = F.expand_dims(transitions, axis=0)
        sums = F.broadcast_add(scores[0], F.expand_dims(first, axis=0))
        for step, score in enumerate(scores[1:], start=1):
            after = _log_sum_exp(F, F.broadcast_add(F.expand_dims(sums, axis=2), pairs), axis=1) + score
            goes_on = F.expand_dims(F.cast(lengths > step, self.first.dtype), axis=1)
            sums = F.broadcast_mul(after, goes_on) + F.broadcast_mul(sums, 1 - goes_on)
        return _log_sum_exp(F, F.broadcast_add(sums, F.expand_dims(last, axis=0)), axis=1)


def _steps(F: Any, array: Any, time: int) -> list[Any]:
    """Return the parts of an array ``(time, ...)``, one for each time step."""
    return [F.squeeze(F.slice_axis(array, axis=0, begin=step, end=step + 1), axis=0) for step in range(time)]


def _log_sum_exp(F: Any, array: Any, axis: int) -> Any:
    largest = F.BlockGrad(F.max(array, axis=axis, keepdims=True))
    sums = F.sum(F.exp(F.broadcast_sub(array, largest)), axis=axis)
    return F.log(sums) + F.squeeze(largest, axis=axis)
