"""What is left of the speed of a training when other programs compute too.

python tests/benchmarks/sharing.py

It needs a machine that does nothing else, and takes some 6 minutes. Where PyTorch (torch==2.13.0) is installed too, or
is in an environment of its own, whose Python --torch names, PyTorch is measured likewise. The network is that of
training.py. Each training has as many threads as there are cores, and is timed

- alone;
- beside a loop that does nothing, which takes all that it can get of one core;
- beside another training of the same kind: the speeds of both together;
- alone, told to have 4 threads for each core.

All speeds but the first are shares of the speed alone just before and after, the medians of several rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from training_speed.model import Model
from training_speed.workers import Worker

MODELS = [
    Model("rnn", 100, 32, 1),
    Model("gru", 100, 32, 1),
    Model("lstm", 100, 32, 1),
    Model("lstm", 512, 64, 1),
]
CORES = len(os.sched_getaffinity(0))


@contextlib.contextmanager
def busy_loop() -> Iterator[None]:
    """Keep one core busy."""
    process = subprocess.Popen(["sh", "-c", "while :; do :; done"])
    try:
        time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


def steps_per_second(worker: Worker, seconds: float) -> float:
    """Return the speed of a training over so many seconds."""
    began = time.perf_counter()
    steps = 0
    while time.perf_counter() - began < seconds:
        worker.ask("time", steps=5)
        steps += 5
    return steps / (time.perf_counter() - began)


def shares(one: Worker, other: Worker, crowded: Worker, seconds: float) -> tuple[float, list[float]]:
    """Return the steps per second of one training alone, and the three shares of it in one round."""
    before = steps_per_second(one, seconds)
    with busy_loop():
        beside_loop = steps_per_second(one, seconds)
    with ThreadPoolExecutor(2) as pool:
        together = sum(pool.map(lambda worker: steps_per_second(worker, seconds), [one, other]))
    with_more_threads = steps_per_second(crowded, seconds)
    alone = (before + steps_per_second(one, seconds)) / 2
    return alone, [found / alone for found in (beside_loop, together, with_more_threads)]


def measure(name: str, model: Model, rounds: int, seconds: float, pythons: dict[str, str]) -> None:
    """Print the row of a contestant and a model."""
    workers = [Worker(name, threads, False, pythons) for threads in (CORES, CORES, 4 * CORES)]
    try:
        for worker in workers:
            worker.ask("build", model=vars(model))
            worker.ask("time", steps=10)
        found = [shares(*workers, seconds) for _ in range(rounds)]
    finally:
        for worker in workers:
            worker.close()
    alone = statistics.median(speed for speed, _ in found)
    medians = [statistics.median(row[k] for _, row in found) for k in range(3)]
    print("|", " | ".join([str(model), name, f"{1000 / alone:.2f}", *[f"{share:.0%}" for share in medians]]), "|")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="Default: 3.")
    parser.add_argument("--seconds", type=float, default=2.0, help="Of each measurement. Default: 2.")
    parser.add_argument("--cells", nargs="+", default=["rnn", "gru", "lstm"], help="Default: rnn gru lstm.")
    parser.add_argument("--units", nargs="+", type=int, default=[100, 512], help="Default: 100 512.")
    parser.add_argument("--torch", metavar="PYTHON", help="The Python of the environment that PyTorch is in.")
    given = parser.parse_args()
    pythons = {"PyTorch": given.torch} if given.torch else {}
    names = ["seqlm", *(["PyTorch"] if pythons or importlib.util.find_spec("torch") else [])]
    print(f"{CORES} cores\n")
    heading = ["model", "trained by", "ms a step alone", "beside a loop", "two side by side", f"{4 * CORES} threads"]
    print("|", " | ".join(heading), "|")
    print("|", " | ".join(["---"] * 2 + ["---:"] * 4), "|")
    for model in MODELS:
        if model.cell in given.cells and model.units in given.units:
            for name in names:
                measure(name, model, given.rounds, given.seconds, pythons)
    return 0


if __name__ == "__main__":
    sys.exit(main())
