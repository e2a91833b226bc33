"""Where prepared texts are kept for later trainings."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from seqlm_core.errors import UsageError
from seqlm_core.storage.cache import Cache

FOLDER_VARIABLE = "SEQLM_CACHE_DIR"
LIMIT_VARIABLE = "SEQLM_CACHE_LIMIT"
DEFAULT_LIMIT = "10"
"""In gigabytes."""


def text_cache() -> Cache:
    """Return the cache of prepared texts.

    Its folder is the user's cache folder for seqlm, or that of ``SEQLM_CACHE_DIR``. It has at most 10 gigabytes, or as
    many as ``SEQLM_CACHE_LIMIT`` says; with 0 nothing is kept.

    Raises:
        UsageError: ``SEQLM_CACHE_LIMIT`` is not a number of gigabytes.
    """
    folder = os.environ.get(FOLDER_VARIABLE) or platformdirs.user_cache_path("seqlm", appauthor=False)
    given = os.environ.get(LIMIT_VARIABLE) or DEFAULT_LIMIT
    try:
        gigabytes = float(given)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < 1e9:
        raise UsageError(f"{LIMIT_VARIABLE} must be a number of gigabytes, at least 0, not {given!r}")
    return Cache(Path(folder) / "texts", int(gigabytes * 1e9))
