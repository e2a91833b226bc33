"""Commands on a terminal, and what a user sees on its screen: pyte, an emulator that is not seqlm's, interprets it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

import pyte

SEQLM = [sys.executable, "-m", "seqlm_core.command_line.main"]
SECONDS = 100


class Terminal:
    """A terminal with a command on it.

    Args:
        command: the command.
        columns: of the terminal.
        rows: of the terminal.
        variables: of the environment, beside those that are there.
        options: further arguments of ``subprocess.Popen``; standard streams that are not named are the terminal.
    """

    def __init__(self, command, columns=80, rows=24, variables=(), **options):
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._emulator = pyte.ByteStream(self.screen)
        self.raw = b""
        self._ours, theirs = pty.openpty()
        self._set_size(columns, rows)
        # Not the folder of the sources, where Python would find the package without its native libraries.
        options.setdefault("cwd", tempfile.gettempdir())
        environment = {**os.environ, "TERM": "xterm-256color", **dict(variables)}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [str(part) for part in command],
            **{"stdin": theirs, "stdout": theirs, "stderr": theirs, **options},
            env=environment,
        )
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    @property
    def lines(self):
        """The lines of the screen, from the top to the last one that is not blank, without spaces at their ends."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    @property
    def everything(self):
        """The lines that were scrolled away, and those of the screen."""
        above = ["".join(row[x].data for x in range(self.screen.columns)).rstrip() for row in self.screen.history.top]
        return above + self.lines

    @property
    def cursor_is_visible(self):
        return not self.screen.cursor.hidden

    def resize(self, columns, rows):
        self._set_size(columns, rows)
        self.screen.resize(rows, columns)

    def wait_until(self, is_seen):
        """Read until something is seen on the screen, and what is written along with it has come."""
        deadline = time.monotonic() + SECONDS
        while not is_seen(self):
            assert self._read(deadline), f"the command ended with:\n{self.raw.decode(errors='replace')}"
        while select.select([self._ours], [], [], 0.1)[0] and self._read(deadline):
            pass

    def wait(self):
        """Read until the command ends, and return its exit code."""
        while self._read(time.monotonic() + SECONDS):
            pass
        return self.process.wait(SECONDS)

    def _read(self, deadline):
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing came for long, after:\n{self.raw.decode(errors='replace')}"
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # EIO: the command has closed its end
            return False
        self.raw += piece
        self._emulator.feed(piece)
        return bool(piece)

    def _set_size(self, columns, rows):
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class OwnTerminal:
    """A terminal that this process has, and its screen. A thread reads what is written to it."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")
        self.screen = pyte.Screen(80, 24)
        self._emulator = pyte.ByteStream(self.screen)
        self._unread = bytearray()
        self._marks = 0
        self.raw = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def be_standard(self):
        """Be standard output and standard error, in the place of those that pytest has made."""
        self._monkeypatch.setattr(sys, "stdout", self.stream)
        self._monkeypatch.setattr(sys, "stderr", self.stream)

    def hang_up(self):
        """Be as a terminal that was closed: writing to it fails."""
        os.dup2(os.open(os.devnull, os.O_RDONLY), self.stream.fileno())
        self._reader.join(SECONDS)

    def close(self):
        with contextlib.suppress(OSError):
            self.stream.close()
        self._reader.join(SECONDS)
        os.close(self._ours)

    @property
    def lines(self):
        """The lines of the screen once all that was written has come, without spaces at their ends."""
        self._marks += 1
        mark = f"\x1b]9;{self._marks}\x07".encode()  # a sequence that the emulator does not know
        self.stream.write(mark.decode())
        self.stream.flush()
        deadline = time.monotonic() + SECONDS
        while mark not in self._unread:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        piece, _, rest = bytes(self._unread).partition(mark)
        del self._unread[: len(piece) + len(mark)]
        self.raw += piece
        self._emulator.feed(piece)
        assert rest == b""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    def _read(self):
        with contextlib.suppress(OSError):  # EIO: closed
            while piece := os.read(self._ours, 65536):
                self._unread += piece
