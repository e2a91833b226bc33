"""The entry of the ``seqlm`` command: it runs the command line and reports errors."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import traceback
from collections.abc import Iterator

import click

from seqlm_core.command_line.commands import cli
from seqlm_core.command_line.words import in_words, with_flags
from seqlm_core.display.bar import bars_wanted
from seqlm_core.errors import SeqlmError, TrainingInterrupted
from seqlm_core.plugins.loading import broken_logger
from seqlm_core.storage.streams import BestEffortStream, drop_unwritten, open_missing_standard_streams

INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 all well, 1 something failed, 2 the request is wrong."""
    open_missing_standard_streams()
    with contextlib.redirect_stderr(BestEffortStream(sys.stderr)), _logging_to_standard_error(), bars_wanted():
        code = _run(arguments)
    drop_unwritten()
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """Run the command line, report its errors, and return its exit code."""
    wants_traceback: list[bool] = []  # filled by the option
    try:
        with _tracebacks(wants_traceback):
            code = cli.main(arguments, prog_name="seqlm", standalone_mode=False, obj=wants_traceback)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Abort:
        code = INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except click.ClickException as error:
        code = _fail(error.format_message(), error.exit_code)
    except TrainingInterrupted as error:
        print(f"seqlm: {in_words(error)}", file=sys.stderr)
        code = error.exit_code
    except SeqlmError as error:
        code = _fail(in_words(error), error.exit_code)
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        code = _fail(f"{character!a} cannot be written in {error.encoding}; PYTHONIOENCODING chooses another", 1)
    except MemoryError:
        code = _fail("there is not enough memory for this", 1)
    except BrokenPipeError:
        code = 1  # whoever read the output has had enough, which is no error for click either
    except OSError as error:
        code = _fail(f"{error.filename or 'input or output'}: {error.strerror or error}", 1)
    return code or 0


@contextlib.contextmanager
def _tracebacks(wanted: list[bool]) -> Iterator[None]:
    """Print the traceback of our errors, and of those that they come from, if it is wanted when they are raised."""
    try:
        yield
    except SeqlmError as error:
        if wanted:
            sys.stderr.write("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        raise


def _fail(message: str, code: int) -> int:
    print(f"seqlm: error: {' '.join(message.split())}", file=sys.stderr)
    return code


class _Formatter(logging.Formatter):
    """Writes plain messages; those of warnings and errors begin with the word."""

    def format(self, record: logging.LogRecord) -> str:
        kind = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"seqlm: {kind}{with_flags(record.getMessage())}"


@contextlib.contextmanager
def _logging_to_standard_error() -> Iterator[None]:
    """Send notices and warnings to standard error, and leave logging as it was."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("seqlm")
    before = logger.level, logger.propagate, broken_logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    broken_logger.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        level, logger.propagate, level_of_broken = before
        logger.setLevel(level)  # which forgets what was found out about levels, as setting the attribute does not
        broken_logger.setLevel(level_of_broken)


if __name__ == "__main__":
    main()
