"""Whether MXNet may become a scheduler or a server in this process, which it does while it is imported."""

from __future__ import annotations

_serving: list[str] = []


def allow_serving(role: str) -> None:
    """Let MXNet become what ``DMLC_ROLE`` says."""
    _serving.append(role)


def may_serve() -> bool:
    """Whether it may."""
    return bool(_serving)
