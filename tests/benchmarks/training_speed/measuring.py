"""Contestants timed in turns."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from training_speed.contestant import PEERS
from training_speed.model import Model, counted
from training_speed.workers import Worker

SETTLING = 0.02  # seconds until the threads of whoever computed last no longer spin
LONGEST = 30.0  # seconds for one row of a table, beyond which three repetitions have to do
CHECKED_STEPS = 6
# A timing is taken again, so often at most, if other programs took more than this share of a processor meanwhile.
DISTURBED = 0.05
TRIES = 20


@dataclasses.dataclass
class Row:
    """What was measured of a model with so many threads.

    Attributes:
        model: what was trained.
        threads: that each contestant might use.
        speeds: tokens per second in each repetition, by contestant.
        busy: processors that were busy on average, by contestant.
        disturbed: the largest share of a processor that other programs took in a repetition.
        memory: largest resident memory in bytes, by contestant.
        ways: how each peer was fastest.
        peak: floating-point operations per second that are possible.
    """

    model: Model
    threads: int
    speeds: dict[str, list[float]]
    busy: dict[str, float]
    disturbed: float
    memory: dict[str, int]
    ways: dict[str, dict[str, Any]]
    peak: float | None

    def speed(self, name: str) -> float:
        """Return the tokens per second of a contestant."""
        return statistics.median(self.speeds[name])

    def milliseconds(self, name: str) -> float:
        """Return what a step of a contestant takes."""
        return 1000 * self.model.tokens / self.speed(name)

    def ratio(self, other: str) -> float:
        """Return how many times faster seqlm is than another contestant."""
        return statistics.median(a / b for a, b in zip(self.speeds["seqlm"], self.speeds[other]))

    @property
    def fastest_peer(self) -> str | None:
        """The name of the fastest peer, None where there is none."""
        return max((name for name in self.speeds if name in PEERS), key=self.speed, default=None)

    @property
    def share_of_peak(self) -> float:
        """The share of the possible operations that seqlm does."""
        return (
            self.speed("seqlm") / self.model.tokens * self.model.operations / self.peak if self.peak else float("nan")
        )

    @property
    def memory_ratio(self) -> float:
        """How many times the memory of the peer that takes least seqlm takes."""
        return self.memory["seqlm"] / min(self.memory[name] for name in self.memory if name in PEERS)

    def to_json(self) -> dict[str, Any]:
        """Return all of it, and what is made of it."""
        made = {
            "fastest_peer": self.fastest_peer,
            "times": {name: self.ratio(name) for name in self.speeds if name != "seqlm"},
            "share_of_peak": self.share_of_peak if self.peak else None,
        }
        return {**dataclasses.asdict(self), **made}

    def __str__(self) -> str:
        return f"{self.model}, {counted(self.threads, 'thread')}"


def measure(
    model: Model, workers: Sequence[Worker], threads: Sequence[int], given: argparse.Namespace, peaks: dict[int, float]
) -> list[Row]:
    """Time all contestants in turns, and return a row for each number of threads."""
    steps, expected, ways = {}, 0.0, {}
    for worker in workers:
        worker.ask("clear")
        ways[worker] = worker.ask("build", model=dataclasses.asdict(model))
        seconds = worker.ask("time", steps=1)[0]
        tried = 1
        while (tried * seconds < 0.1 and tried < 100) or (tried == 1 and seconds < 1):
            tried = max(3, 2 * tried)
            seconds = worker.ask("time", steps=tried)[0] / tried
        steps[worker] = max(3, round(given.seconds / seconds))
        expected += steps[worker] * seconds
    rounds = min(given.repetitions, max(3, int(LONGEST / expected)))
    speeds: dict[Worker, list[float]] = {worker: [] for worker in workers}
    busy: dict[Worker, list[float]] = {worker: [] for worker in workers}
    disturbed = dict.fromkeys(workers, 0.0)
    for _, worker in itertools.product(range(rounds), workers):
        seconds, ours, others = undisturbed(worker, steps[worker])
        speeds[worker].append(steps[worker] * model.tokens / seconds)
        busy[worker].append(ours / seconds)
        disturbed[worker] = max(disturbed[worker], others)
    memory = {worker: worker.ask("memory") for worker in workers}
    for worker in workers:
        worker.ask("clear")
    rows = []
    for n in threads:
        chosen = {worker.name: worker for worker in workers if worker.threads == n}
        for peer in PEERS:
            candidates = [worker for worker in workers if worker.name == peer and worker.threads in (1, n)]
            if candidates:
                chosen[peer] = max(candidates, key=lambda worker: statistics.median(speeds[worker]))
        rows.append(
            Row(
                model,
                n,
                {name: speeds[worker] for name, worker in chosen.items()},
                {name: statistics.median(busy[worker]) for name, worker in chosen.items()},
                max(disturbed[worker] for worker in chosen.values()),
                {name: memory[worker] for name, worker in chosen.items()},
                {name: {**ways[chosen[name]], "threads": chosen[name].threads} for name in chosen if name in PEERS},
                peaks.get(n),
            )
        )
    return rows


def undisturbed(worker: Worker, steps: int) -> tuple[float, float, float]:
    """Return the seconds that steps take, those of its processors, and what of a processor others took meanwhile.

    Of several tries the first in which others took next to nothing, else the one in which they took least.
    """
    found = []
    for _ in range(TRIES):
        time.sleep(SETTLING)
        seconds, ours, others = worker.ask("time", steps=steps)
        found.append((others / seconds, seconds, ours))
        if found[-1][0] < DISTURBED:
            break
    others, seconds, ours = min(found)
    return seconds, ours, others


def check_that_all_compute_the_same(cells: Sequence[str], workers: Sequence[Worker]) -> None:
    """Raise unless the losses of the first steps from the same weights are the same; a peer computes them once."""
    most = {worker.name: worker for worker in workers if worker.name in PEERS}
    workers = [worker for worker in workers if most.get(worker.name, worker) is worker]
    for cell, layers in itertools.product(cells, (1, 2)):
        model = Model(cell, 48, 8, layers, time=20)
        reference = None
        for worker in workers:  # the first is seqlm
            found = worker.ask("losses", model=dataclasses.asdict(model), steps=CHECKED_STEPS)
            reference = reference or found
            message = f"{worker.name}, {counted(worker.threads, 'thread')}: {model}"
            for step, (ours, theirs) in enumerate(zip(reference, found)):
                tolerance = worker.ask("tolerance") if step else 1e-4
                np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance, err_msg=message)


def sgemm_peaks(workers: Sequence[Worker], threads: Sequence[int]) -> dict[int, float]:
    """Measure and print the most floating-point operations per second of each number of threads."""
    peaks = {}
    for n in threads:
        found: dict[str, float] = {}
        for worker in workers:
            if worker.threads == n and worker.name != "MXNet fused":
                time.sleep(SETTLING)
                found.update(worker.ask("peak"))
        peaks[n] = max(found.values())
        told = ", ".join(f"{name} {speed / 1e9:,.0f}" for name, speed in found.items())
        print(f"- sgemm with {counted(n, 'thread')}, in GFLOP/s: {told}")
    return peaks
