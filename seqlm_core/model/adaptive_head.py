"""The output head of an adaptive softmax; see :mod:`seqlm_core.model.clusters`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqlm_core.engine.mxnet import gluon
from seqlm_core.model.clusters import Cluster
from seqlm_core.model.heads import ClassHead, log_probabilities_of, projected, set_log_frequencies
from seqlm_core.native import training


class AdaptiveHead(ClassHead):
    """Predicts the tokens of the shortlist and the clusters of the others at once, and the others within them.

    Args:
        classes: number of tokens.
        hidden_size: length of the hidden vectors.
        clusters: the clusters.
        tied_weight: as for :class:`~seqlm_core.model.heads.SoftmaxHead`. The rows of a cluster's tokens are its weights
            then, so its vectors are not shortened.
    """

    def __init__(
        self,
        classes: int,
        hidden_size: int,
        clusters: Sequence[Cluster],
        tied_weight: gluon.Parameter | None = None,
    ) -> None:
        super().__init__(classes)
        self.shortlist = clusters[0].first
        self._clusters = clusters
        first_classes = self.shortlist + len(clusters)
        with self.name_scope():
            self._add_weight(first_classes, hidden_size, tied_weight)
            if tied_weight is not None:
                self.cluster_weight = self.params.get("cluster_weight", shape=(len(clusters), tied_weight.shape[1]))
            self.bias = self.params.get("bias", shape=(first_classes,), init="zeros")
            self.within = [ClusterHead(cluster, hidden_size) for cluster in clusters]
        for number, head in enumerate(self.within):
            self.register_child(head, f"cluster{number}")

    def predict_frequencies(self, counts: np.ndarray) -> None:
        """Set the biases so that each token is predicted by its frequency.

        Args:
            counts: how often each token is expected, ``(classes,)``; 0 if it cannot occur.
        """
        of_clusters = [counts[cluster.first : cluster.end] for cluster in self._clusters]
        set_log_frequencies(self.bias, np.append(counts[: self.shortlist], [part.sum() for part in of_clusters]))
        for head, part in zip(self.within, of_clusters):
            set_log_frequencies(head.bias, part)

    def hybrid_forward(
        self,
        F: Any,
        hidden: Any,
        targets: Any = None,
        *,
        weight: Any,
        bias: Any,
        cluster_weight: Any = None,
        projection_weight: Any = None,
        projection_bias: Any = None,
    ) -> Any:
        natively = targets is not None and training.computes_natively(self.bias)
        hidden = self._projected(F, hidden, projection_weight, projection_bias, natively)
        rows: list[Any] = [None] * len(self.within)
        if cluster_weight is not None:
            rows = [F.slice_axis(weight, axis=0, begin=c.first, end=c.end) for c in self._clusters]
            weight = F.concat(F.slice_axis(weight, axis=0, begin=0, end=self.shortlist), cluster_weight, dim=0)
        if targets is None:
            first = log_probabilities_of(F, hidden, weight, bias, self.shortlist + len(self.within))
            parts = [F.slice_axis(first, axis=-1, begin=0, end=self.shortlist)]
            for number, (head, of_tokens) in enumerate(zip(self.within, rows), start=self.shortlist):
                of_cluster = F.slice_axis(first, axis=-1, begin=number, end=number + 1)
                parts.append(F.broadcast_add(head(hidden, None, of_tokens), of_cluster))
            return F.concat(*parts, dim=-1)
        # The shortlist's tokens are themselves; the others are their clusters.
        classes = F.minimum(targets, self.shortlist)
        for cluster in self._clusters[1:]:
            classes = classes + (targets >= cluster.first)
        if natively:
            if cluster_weight is None:
                weight = training.with_own_gradient(F, self.weight, weight)
            losses = training.softmax_loss(F, hidden, weight, training.with_own_gradient(F, self.bias, bias), classes)
        else:
            first = log_probabilities_of(F, hidden, weight, bias, self.shortlist + len(self.within))
            losses = -F.pick(first, classes, axis=-1)
        for head, of_tokens in zip(self.within, rows):
            losses = losses + head(hidden, targets, of_tokens)
        return losses


class ClusterHead(gluon.HybridBlock):
    """Predicts the tokens of a cluster, given that the token is one of them.

    Args:
        cluster: the cluster.
        hidden_size: length of the hidden vectors.
    """

    def __init__(self, cluster: Cluster, hidden_size: int) -> None:
        super().__init__()
        self._cluster = cluster
        with self.name_scope():
            if cluster.size:
                self.weight = self.params.get("weight", shape=(cluster.tokens, cluster.size))
                self.projection_weight = self.params.get("projection_weight", shape=(cluster.size, hidden_size))
                self.projection_bias = self.params.get("projection_bias", shape=(cluster.size,), init="zeros")
            self.bias = self.params.get("bias", shape=(cluster.tokens,), init="zeros")

    def hybrid_forward(
        self,
        F: Any,
        hidden: Any,
        targets: Any = None,
        of_tokens: Any = None,
        *,
        bias: Any,
        weight: Any = None,
        projection_weight: Any = None,
        projection_bias: Any = None,
    ) -> Any:
        """Return losses in nats, 0 where the target is not in the cluster; without targets log-probabilities.

        Args:
            F: ``mx.nd`` or ``mx.sym``.
            hidden: hidden vectors ``(..., hidden)``.
            targets: int32 ids of tokens ``(...)``; None for the log-probabilities ``(..., tokens)``.
            of_tokens: the weights ``(tokens, hidden)`` if the embeddings are the weights.
            bias: the biases of the tokens.
            weight: the weights of the tokens.
            projection_weight: the weights of the projection.
            projection_bias: its biases.
        """
        natively = targets is not None and training.computes_natively(self.bias)
        if weight is not None:
            hidden = projected(
                F,
                hidden,
                (self.projection_weight, projection_weight),
                (self.projection_bias, projection_bias),
                natively,
            )
            of_tokens = training.with_own_gradient(F, self.weight, weight) if natively else weight
        if targets is None:
            return log_probabilities_of(F, hidden, of_tokens, bias, self._cluster.tokens)
        is_inside = (targets >= self._cluster.first) * (targets < self._cluster.end)
        if natively:
            within = is_inside * (targets - (self._cluster.first - 1)) - 1
            bias = training.with_own_gradient(F, self.bias, bias)
            return training.some_softmax_loss(F, hidden, of_tokens, bias, within)
        log_probabilities = log_probabilities_of(F, hidden, of_tokens, bias, self._cluster.tokens)
        losses = -F.pick(log_probabilities, is_inside * (targets - self._cluster.first), axis=-1)
        return F.where(is_inside, losses, F.zeros_like(losses))
