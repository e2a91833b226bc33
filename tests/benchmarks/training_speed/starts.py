"""The time from the start of a process to the end of its first step."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from training_speed.contestant import contestant
from training_speed.model import Model, counted
from training_speed.tables import print_heading, print_row
from training_speed.workers import command, environment

SAMPLE_TEXT = Path(__file__).resolve().parents[3] / "data" / "input.txt"


def take_first_step(name: str, threads: int) -> None:
    """Do all that has to be done before a first step, take it, and say so."""
    contestant(name, threads).take_first_step(Model("lstm", 256, 32, 1), SAMPLE_TEXT)
    print("done", flush=True)


def print_starts(names: Sequence[str], rounds: int, cores: int, pythons: Mapping[str, str]) -> dict[str, list[float]]:
    """Print a table of the times, and return them."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn, name in itertools.product(range(rounds + 1), names):
        began = time.perf_counter()
        with subprocess.Popen(
            command(name, pythons, "--first-step", name, cores),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(name, cores),
        ) as process:
            if process.stdout.readline() != b"done\n":
                sys.exit(f"{name} took no first step.")
            if turn:  # the first turn reads the libraries from the disk
                seconds[name].append(time.perf_counter() - began)
    print_heading([f"from process start to the end of the first step, {counted(cores, 'thread')}", "seconds"])
    for name, found in seconds.items():
        print_row(name, f"{statistics.median(found):.2f}")
    return seconds
