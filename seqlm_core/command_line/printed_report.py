"""What a command prints when its work is done and saved: a run is no worse for a report that cannot be printed."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Callable

import click

from seqlm_core.command_line.plugin_files import plugin_flags

logger = logging.getLogger("seqlm")


@contextlib.contextmanager
def printed_if_possible() -> Iterator[None]:
    """Print what is printed within, as far as standard output takes it; whatever happens, the command succeeds."""
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        yield
    text = report.getvalue()
    try:
        try:
            click.echo(text, nl=False)
        except UnicodeEncodeError as error:
            click.echo(text.encode(error.encoding, "backslashreplace").decode(error.encoding), nl=False)
    except BrokenPipeError:
        pass  # whoever read it has had enough
    except OSError as error:
        logger.warning("the training is done and saved, but its report cannot be printed: %s", error.strerror)


def print_best_epoch(
    run: Any, figures: Callable[[Any, dict[str, Any]], Iterable[tuple[str, str]]], use: str | None
) -> None:
    """Print the figures of a run's best epoch, where the run is, and the command that uses it.

    Args:
        run: the run that was trained.
        figures: a function that returns the names and texts of the figures in a record of the history.
        use: the last line, which names a command that uses the run, without the plugins that this command needs; None
            for no such line.
    """
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    best = next((record for record in reversed(epochs) if record["best"]), None)
    if best is None:  # the run was interrupted in its first epoch, and resumed to no more steps
        return
    click.echo(f"best epoch   {epochs_in_words(best['epoch'])} of {epochs_in_words(epochs[-1]['epoch'])}")
    for name, text in figures(run, best):
        click.echo(f"{name:<12} {text}")
    click.echo(f"time         {epochs[-1]['seconds']:.1f} s")
    click.echo(f"run          {run.path}")
    if use is not None:
        click.echo(use + plugin_flags(run.config["plugins"]))


def epochs_in_words(epochs: float) -> str:
    """Return a number of epochs, of which the last may not be whole, with the digits that matter."""
    if epochs == int(epochs):
        return str(int(epochs))
    return f"{epochs:.1f}" if epochs > 1 else f"{epochs:.2g}"
