"""MXNet for plugins: ``from seqlm_core.mxnet import autograd, gluon, mx, nd``, within the functions that use it."""

from __future__ import annotations

from seqlm_core.engine.mxnet import autograd, gluon, mx, nd

__all__ = ["autograd", "gluon", "mx", "nd"]
