"""What a shell completes when the Tab key is pressed: names of plugins, runs, files and folders.

The shell runs ``seqlm`` itself for this, by the scripts that click makes. Plugins in files are not among those that are
completed, since their code would be executed.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import click
from click.shell_completion import CompletionItem

MOST_FOLDERS = 1000
"""How many folders are searched for runs, so that the answer comes at once."""

Completion = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def complete_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have the shell complete files and folders."""
    return [CompletionItem(incomplete, type="file")]


def complete_folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have the shell complete folders."""
    return [CompletionItem(incomplete, type="dir")]


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the paths of runs; where none begins so, have the shell complete folders."""
    found = sorted(_runs_that_begin(incomplete))
    return [CompletionItem(path) for path in found] or complete_folders(context, parameter, incomplete)


def complete_plugins(kind: str) -> Completion:
    """Return what completes the names of installed plugins of a kind, such as ``cell``."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from seqlm_core.plugins.loading import installed_plugins

        with _silence():
            (registry,) = (registry for registry in installed_plugins().registries if registry.kind == kind)
        specs: list[Any] = [entry.spec for entry in registry]
        return [CompletionItem(spec.name, help=spec.summary) for spec in specs if spec.name.startswith(incomplete)]

    return complete


def _runs_that_begin(incomplete: str) -> list[str]:
    from seqlm_core.runs.finding import run_folders

    parent, name = os.path.split(incomplete)
    try:
        entries = [entry for entry in os.listdir(parent or ".") if entry.startswith(name)]
    except OSError:
        return []
    shown = [entry for entry in entries if name or not entry.startswith(".")]
    with _silence():
        return [
            str(run)
            for entry in shown
            if os.path.isdir(os.path.join(parent, entry))
            for run in run_folders(Path(parent, entry), MOST_FOLDERS)
        ]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Have no message come between the lines that a user types."""
    logger = logging.getLogger("seqlm")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
