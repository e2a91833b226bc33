"""The clusters of an adaptive softmax (Grave et al. 2017, https://arxiv.org/abs/1609.04309).

The vocabulary is sorted by falling count. Its first tokens, the shortlist, are predicted at once, and with them the
clusters of the others. Within a cluster its tokens are predicted from a shorter vector, which is a projection of the
hidden one: ``p(token) = p(cluster) p(token | cluster)``. So in training, a cluster is computed for the few predictions
alone whose tokens are in it.
"""

from __future__ import annotations

import dataclasses

from seqlm_core.errors import SettingError

Cutoffs = tuple[int, ...]

SHORTLIST_SHARE, FIRST_CLUSTER_SHARE = 25, 5
"""The shortlist is one of so many parts of the vocabulary, and ends the first cluster at another."""

SHRINKING = 4
"""Each cluster is predicted from vectors that are so many times as short as those of the cluster before."""

SMALLEST_VOCABULARY = 50


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Tokens that are predicted in two steps.

    Attributes:
        first: the id of its first token.
        end: the id after its last one.
        size: the length of the vectors from which they are predicted; 0 if these are the hidden vectors themselves.
    """

    first: int
    end: int
    size: int

    @property
    def tokens(self) -> int:
        """The number of its tokens."""
        return self.end - self.first


def chosen_cutoffs(vocabulary_size: int) -> Cutoffs:
    """Return the cutoffs of two clusters.

    Raises:
        SettingError: the vocabulary is too small for clusters.
    """
    if vocabulary_size < SMALLEST_VOCABULARY:
        raise SettingError(
            "output_layer",
            f"adaptive needs at least {SMALLEST_VOCABULARY} entries in the vocabulary, not {vocabulary_size}",
        )
    return vocabulary_size // SHORTLIST_SHARE, vocabulary_size // FIRST_CLUSTER_SHARE
