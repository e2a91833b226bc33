"""Which gaps of a text are filled together, and where each of these spans stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

FOLLOWING = 16
"""The number of tokens after a span that its fillings are judged by. Gaps with fewer tokens between them are one
span."""
LONGEST_SPAN = 256
"""The largest number of tokens in a span of several gaps. So the memory does not grow with the number of gaps."""


@dataclasses.dataclass(frozen=True)
class PlacedSpan:
    """A span and its place in the text.

    Attributes:
        number: the span's number in the text.
        gaps: the positions of each of its gaps.
        until: the position where the next span begins, or the text ends.
        allowed: for each missing token's position, whether each token may stand there, bool ``(vocabulary,)``.
    """

    number: int
    gaps: Sequence[range]
    until: int
    allowed: Mapping[int, np.ndarray]

    @property
    def start(self) -> int:
        """The position of the span's first token."""
        return self.gaps[0].start

    @property
    def stop(self) -> int:
        """The position after the span's last token."""
        return self.gaps[-1].stop


def grouped(gaps: Sequence[range]) -> list[list[range]]:
    """Group gaps that are close to each other into spans of limited length."""
    spans = [[gaps[0]]]
    for gap in gaps[1:]:
        close = gap.start - spans[-1][-1].stop < FOLLOWING
        if close and gap.stop - spans[-1][0].start <= LONGEST_SPAN:
            spans[-1].append(gap)
        else:
            spans.append([gap])
    return spans
