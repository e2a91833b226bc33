"""How the command line words what the Python API tells: options for settings, and the command that resumes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from seqlm_core.command_line.setting_options import flag_of
from seqlm_core.errors import ResumableError, SeqlmError


def with_flags(message: str) -> str:
    """Return a message with each name of a setting, which stands within backticks, spelled as an option."""
    return re.sub("`([a-z_]+)`", lambda name: flag_of(name[1]), message)


def in_words(error: SeqlmError) -> str:
    """Return what is told of an error, with the command that goes on with its run."""
    if not isinstance(error, ResumableError) or error.resumable is None:
        return with_flags(str(error))
    return f"{with_flags(error.message)}; go on with: {resume_command(error.resumable)}"


def resume_command(path: Path) -> str:
    """Return the command that resumes a run."""
    from seqlm_core.plugins.files import plugin_flags
    from seqlm_core.runs.config import LANGUAGE_MODEL
    from seqlm_core.runs.directory import RunDirectory

    config = RunDirectory(path).read_config()
    command = "seqlm train" if config["task"] == LANGUAGE_MODEL else "seqlm tag train"
    return f"{command} --resume {shlex.quote(str(path))}{plugin_flags(config['plugins'])}"
