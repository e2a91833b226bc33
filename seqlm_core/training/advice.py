"""What to try when numbers are not finite any more."""

from __future__ import annotations


def clipping_advice(clip_norm: float) -> str:
    """Return what to do about the clipping of the gradient in a training that has this ``clip_norm``."""
    return "a lower `clip_norm`" if clip_norm else "a `clip_norm` such as 1 (with 0 nothing is clipped)"
