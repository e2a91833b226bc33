"""Advice for errors of numbers that are no longer finite."""

from __future__ import annotations


def clipping_advice(clip_norm: float) -> str:
    """Return the advice on clipping the gradient, for a training with this ``clip_norm``."""
    return "a lower `clip_norm`" if clip_norm else "a `clip_norm` such as 1 (with 0 nothing is clipped)"
