"""Output of one line for each answer, in a file with which an interrupted command can go on."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Callable

import click

from seqlm_core.command_line.completion import complete_files
from seqlm_core.errors import TextError, UsageError


def output_file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--out`` and ``--resume`` to a command that prints lines."""
    out = click.option(
        "--out",
        metavar="FILE",
        shell_complete=complete_files,
        help="Write to this file, which must not exist.  [default: standard output]",
    )
    resume = click.option(
        "--resume", is_flag=True, help="Go on with the file of --out after its last whole line, if it is there."
    )
    return out(resume(command))


class OutputFile:
    """A file of lines of JSON, some of which an interrupted command may have written already.

    Args:
        path: the file; None is standard output.
        resume: whether the file may be there.

    Raises:
        UsageError: it may not be there, and is; or it is to be gone on with, and has no name.
        TextError: it cannot be read, or its last line is not JSON.
    """

    def __init__(self, path: str | None, resume: bool) -> None:
        if resume and path is None:
            raise UsageError("--resume goes on with the file of --out, which is not given")
        self.path = path
        self.last: dict[str, Any] | None = None
        self._end = 0
        if path is None or not Path(path).exists():
            return
        if not resume:
            raise UsageError(f"{path} exists; go on with it by --resume, or name another --out")
        last = b""
        for line in self.lines():
            self._end += len(line)
            last = line
        try:
            self.last = json.loads(last) if last else None
            if not isinstance(self.last, (dict, type(None))):
                raise ValueError("no object")
        except ValueError as error:
            raise TextError(f"{path} cannot be gone on with: its last line is not the JSON of this command") from error

    def lines(self) -> Iterator[bytes]:
        """Yield the whole lines that are there."""
        if self.path is None or not Path(self.path).exists():
            return
        try:
            with open(self.path, "rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        yield line
        except OSError as error:
            raise TextError(f"{self.path} cannot be read: {error.strerror}") from error

    def check_last(self, expected: dict[str, Any], names: Iterable[str]) -> None:
        """Raise :class:`UsageError` unless the last line says the same as this command does.

        Args:
            expected: what this command says.
            names: the keys that are compared. Others may differ by rounding.
        """
        assert self.last is not None
        for name in names:
            if self.last.get(name) != expected.get(name):
                raise UsageError(
                    f"{self.path} cannot be gone on with: its last line has another {name!r} than this command writes; "
                    "give the same run, files and options, or name another --out"
                )

    @contextlib.contextmanager
    def opened(self) -> Iterator[IO[str] | None]:
        """Give the stream to write to, after what is there; None if there is no standard output."""
        if self.path is None:
            yield sys.stdout
            return
        try:
            with open(self.path, "a", encoding="utf-8", newline="\n") as file:
                file.truncate(self._end)
                yield file
        except OSError as error:
            raise TextError(f"{self.path} cannot be written: {error.strerror}") from error
