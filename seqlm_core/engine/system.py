"""What systems differ in: on Windows, some of what Linux and macOS have is missing or works otherwise."""

from __future__ import annotations

import os

IS_POSIX = os.name == "posix"


def physical_memory() -> int | None:
    """Return the bytes of memory that the machine has; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
