"""How much the commands show beside their results."""

from __future__ import annotations

import logging

from seqlm_core.display.bar import show_no_bars
from seqlm_core.plugins.loading import broken_logger


def be_quiet() -> None:
    """Show no notices, no bars, and nothing of broken plugins; other warnings are shown."""
    show_no_bars()
    logging.getLogger("seqlm").setLevel(logging.WARNING)
    silence_broken_plugins()


def silence_broken_plugins() -> None:
    """Show nothing of broken plugins, for commands that tell of them themselves."""
    broken_logger.setLevel(logging.ERROR)
