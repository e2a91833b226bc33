"""Memory that is no longer needed, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def give_back_freed_memory() -> None:
    """Free what only cycles of references hold, as they hold networks of MXNet, and give freed memory back.

    Python frees no such cycles for a while, and the GNU C library keeps freed memory for later, which can be hundreds
    of megabytes.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library, or another system
        ctypes.CDLL(None).malloc_trim(0)
