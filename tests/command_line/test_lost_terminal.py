"""A training goes on, or is saved, when nobody can read any more what it tells: closed pipes, terminals, full disks."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.storage.checkpoint import load_checkpoint

COMMAND = [sys.executable, "-m", "seqlm_core.command_line.main", "train"]
TINY = ["--hidden-size", "8", "--sequence-length", "10", "--batch-size", "4", "--log-every", "1", "--sample-every", "5"]
STEPS = 40


def command(text, out, steps=STEPS):
    return [*COMMAND, str(text), *TINY, "--max-steps", str(steps), "--out", str(out)]


def is_whole(out):
    """Whether every step of the training was done, and everything is saved."""
    records = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    _, state = load_checkpoint(out / "last.safetensors")
    files = {path.name for path in out.iterdir()}
    return (
        records[-1]["step"] == STEPS == state["training"]["step"]
        and {"best.safetensors", "loss.png"} < files
        and not any(name.startswith(".") for name in files)
    )


def test_a_reader_who_leaves_after_the_first_line_does_not_end_the_training(short_text, tmp_path):
    out = tmp_path / "run"
    with subprocess.Popen(command(short_text, out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout.readline().startswith(b"seqlm: lstm")
        process.stdout.close()
    assert process.returncode == 0  # the run is done; who read it had enough
    assert is_whole(out)


@pytest.mark.parametrize("redirect", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_streams_that_take_nothing_do_not_end_the_training(redirect, short_text, tmp_path):
    out = tmp_path / "run"
    done = subprocess.run(["bash", "-c", f'exec "$@" {redirect}', "bash", *command(short_text, out)], timeout=100)
    assert done.returncode == 0
    assert is_whole(out)


def test_a_report_that_cannot_be_printed_is_a_warning(short_text, tmp_path):
    out = tmp_path / "run"
    with open("/dev/full", "w") as full:
        done = subprocess.run(command(short_text, out), stdout=full, stderr=subprocess.PIPE, text=True, timeout=100)
    assert done.returncode == 0
    assert is_whole(out)
    told = "seqlm: warning: the training is done and saved, but its report cannot be printed: No space left on device"
    assert done.stderr.splitlines()[-1] == told


def on_terminal(arguments, columns=80, **options):
    """Start a process whose standard output and error are a new terminal; return it and the terminal's other end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, **options)
    os.close(theirs)
    return process, ours


def read_until_closed(terminal):
    told = b""
    try:
        while piece := os.read(terminal, 65536):
            told += piece
    except OSError:  # EIO: the process has closed its end
        pass
    os.close(terminal)
    return told.decode()


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ignore_hangup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def be_controlled_by_terminal():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_terminal_that_goes_away_under_nohup_does_not_end_the_training(short_text, tmp_path):
    out = tmp_path / "run"
    process, terminal = on_terminal(command(short_text, out), preexec_fn=ignore_hangup)
    os.read(terminal, 1)
    os.close(terminal)
    assert process.wait(100) == 0
    assert is_whole(out)


def test_closing_the_terminal_saves_a_run_that_can_go_on(short_text, tmp_path):
    out = tmp_path / "run"
    process, terminal = on_terminal(command(short_text, out, steps=10**9), preexec_fn=be_controlled_by_terminal)
    wait_for(out / "last.safetensors")
    os.read(terminal, 4096)
    os.close(terminal)  # its kernel sends SIGHUP
    assert process.wait(100) == 128 + signal.SIGHUP
    _, state = load_checkpoint(out / "last.safetensors")
    assert state["training"]["step"] > 0
    assert seqlm.LanguageRun(out).history()[-1]["step"] == state["training"]["step"]


def test_a_terminal_without_columns_is_told_in_lines(short_text, tmp_path):
    process, terminal = on_terminal(command(short_text, tmp_path / "run", steps=3), columns=0)
    told = read_until_closed(terminal)
    assert process.wait(100) == 0
    assert "step 3/3" in told


def test_a_terminal_with_columns_has_a_bar(short_text, tmp_path):
    process, terminal = on_terminal(command(short_text, tmp_path / "run", steps=3))
    told = read_until_closed(terminal)
    assert process.wait(100) == 0
    assert "100%" in told
    assert "step 3/3" not in told


def test_a_sample_that_the_encoding_of_standard_error_does_not_have_is_written_in_escapes(tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("\u00e9\u4e2d" * 2000, encoding="utf-8")
    written = io.BytesIO()
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(written, "ascii", "strict", write_through=True))
    seqlm.train(text, out=tmp_path / "run", **{**SMALL, "sample_every": 2, "max_steps": 4})
    assert b"--- sample at step 2 ---" in written.getvalue()
    assert rb"\xe9" in written.getvalue()


def test_training_works_where_standard_error_is_none_or_closed(short_text, tmp_path, monkeypatch):
    closed = io.StringIO()
    closed.close()
    for number, stream in enumerate([None, closed]):
        monkeypatch.setattr("sys.stderr", stream)
        run = seqlm.train(short_text, out=tmp_path / str(number), **{**SMALL, "sample_every": 2, "max_steps": 4})
        assert run.history()[-1]["step"] == 4
