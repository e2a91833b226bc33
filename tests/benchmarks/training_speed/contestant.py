"""What runs in a worker: a contestant, and what it answers."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import importlib
import json
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training_speed.model import Model

PRODUCTS = [(2048, 2048, 2048), (3200, 2048, 512)]

# Imported by the worker alone, since they need different environments.
CONTESTANTS = {
    "seqlm": "seqlm_training.SeqlmContestant",
    "MXNet fused": "seqlm_training.SeqlmContestant",
    "PyTorch": "torch_training.TorchContestant",
    "JAX": "jax_training.JaxContestant",
    "Keras": "keras_training.KerasContestant",
}
PEERS = {"PyTorch": "torch", "JAX": "jax", "Keras": "tensorflow"}
"""The packages that they need."""


class Contestant:
    """What a worker does: most methods answer a request of the same name."""

    training: Any = None

    def __init__(self, threads: int) -> None:
        """Compute with so many threads."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what computes, by name."""
        raise NotImplementedError

    def build(self, model: Model) -> dict[str, Any]:
        """Get ready to train, and return the way that was chosen."""
        raise NotImplementedError

    def losses(self, model: Model, steps: int) -> list[float]:
        """Return the losses of the first steps from the model's weights."""
        raise NotImplementedError

    def take_first_step(self, model: Model, text: Path) -> None:
        """Do all that has to be done before a first step on a text, and take it."""
        raise NotImplementedError

    def peak(self) -> dict[str, float]:
        """Return floating-point operations per second in products of large matrices, by who computes."""
        return {}

    def clear(self) -> None:
        """Forget the last model, and count the largest memory from here on."""
        self.training = None
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # not every C library has it
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def time(self, steps: int) -> tuple[float, float, float]:
        """Return the seconds that so many steps take; those of all processors together; and those of other programs."""
        of_all, ours, began = seconds_of_all_processors(), time.process_time(), time.perf_counter()
        self.training.run(steps)
        seconds, ours = time.perf_counter() - began, time.process_time() - ours
        return seconds, ours, max(0.0, seconds_of_all_processors() - of_all - ours)

    def tolerance(self) -> float:
        """Return how far the losses after the first may be from seqlm's."""
        return 1e-4

    def memory(self) -> int:
        """Return the largest resident memory in bytes."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024


class Peer(Contestant):
    """Trains with something else than seqlm, in the way that is fastest for the model.

    Attributes:
        new_training: makes a training of a model, token ids, a way and weights.
    """

    new_training: Any

    def ways(self, model: Model) -> Sequence[Any]:
        """Return the ways that there are, each a dataclass."""
        raise NotImplementedError

    def build(self, model: Model) -> dict[str, Any]:
        ids, weights = model.text(), model.weights()
        seconds = {way: self._seconds(self.new_training(model, ids, way, weights)) for way in self.ways(model)}
        way = min(seconds, key=seconds.__getitem__)
        self.clear()
        self.training = self.new_training(model, ids, way, weights)
        return dataclasses.asdict(way)

    def losses(self, model: Model, steps: int) -> list[float]:
        training = self.new_training(model, model.text(), self.ways(model)[0], model.weights())
        return [float(training.run(1)) for _ in range(steps)]

    def take_first_step(self, model: Model, text: Path) -> None:
        read = text.read_text(encoding="utf-8")
        vocabulary = {token: i for i, token in enumerate(sorted(set(read)))}
        model = dataclasses.replace(model, vocabulary=len(vocabulary))
        ids = np.fromiter((vocabulary[token] for token in read), np.int32, len(read))
        self.new_training(model, ids, self.ways(model)[0], model.weights()).run(1)

    def _seconds(self, training: Any) -> float:
        """Return what a step takes, roughly."""
        training.run(1)  # this one prepares much
        seconds: list[float] = []
        while not seconds or (sum(seconds) < 0.3 and len(seconds) < 50):
            began = time.perf_counter()
            training.run(1)
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds)


def seconds_of_all_processors() -> float:
    """Return how long all processors together have been busy."""
    user, nice, system, _, _, *others = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def fastest_product(product: Callable[[int, int, int], Callable[[], None]], tries: int = 5) -> float:
    """Return the most floating-point operations per second in a product of two large matrices."""
    fastest = 0.0
    for rows, columns, inner in PRODUCTS:
        compute = product(rows, columns, inner)
        for _ in range(tries):
            began = time.perf_counter()
            compute()
            fastest = max(fastest, 2.0 * rows * columns * inner / (time.perf_counter() - began))
    return fastest


def contestant(name: str, threads: int) -> Contestant:
    """Return the contestant of that name."""
    module, made = CONTESTANTS[name].split(".")
    return getattr(importlib.import_module(f"training_speed.{module}"), made)(threads)


def serve(name: str, threads: int, cores: int) -> None:
    """Answer requests, a JSON object a line, until there are no more.

    Args:
        name: of the contestant.
        threads: that it computes with.
        cores: on which it is kept; 0 for all.
    """
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that was started ends this one
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answering = contestant(name, threads)
    for line in sys.stdin:
        request = json.loads(line)
        if "model" in request:
            request["model"] = Model(**request["model"])
        answer = getattr(answering, request.pop("do"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
