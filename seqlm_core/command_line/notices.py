"""How much of what is logged the commands show."""

from __future__ import annotations

import logging

from seqlm_core.plugins.loading import broken_logger


def be_quiet() -> None:
    """Show no notices, and nothing of broken plugins; other warnings are shown."""
    logging.getLogger("seqlm").setLevel(logging.WARNING)
    silence_broken_plugins()


def silence_broken_plugins() -> None:
    """Show nothing of broken plugins, for commands that tell of them themselves."""
    broken_logger.setLevel(logging.ERROR)
