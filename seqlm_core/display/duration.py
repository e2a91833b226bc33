"""Durations in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration as minutes and seconds, ``1:05``, or with hours, ``2:01:05``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
