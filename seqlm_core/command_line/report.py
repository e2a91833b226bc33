"""What a command prints when its work is done and saved: a run is no worse for a report that cannot be printed."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator

import click

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


def epochs_in_words(epochs: float) -> str:
    """Return a number of epochs, of which the last may not be whole, with the digits that matter."""
    if epochs == int(epochs):
        return str(int(epochs))
    return f"{epochs:.1f}" if epochs > 1 else f"{epochs:.2g}"
