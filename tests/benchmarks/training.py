"""Tokens trained on per second: seqlm beside PyTorch and beside MXNet's own fused layer.

python tests/benchmarks/training.py --quick
python tests/benchmarks/training.py --json figures.json

It needs an environment with seqlm and PyTorch (torch==2.13.0), and a machine that does nothing else. All of it takes 45
to 60 minutes on 2 cores, with --quick 5, and each of the small tables by itself (--tables) 1 or 2.

All train the same network: embeddings of as many channels as there are units, recurrent layers, a projection with bias,
the mean cross-entropy, gradients clipped to a norm of 1, Adam, states carried over from window to window. First
the program checks that all compute the same losses from the same weights.

- "seqlm" is what `seqlm train` does, the loop included. "MXNet fused" is the same with SEQLM_NATIVE=0: MXNet's fused
  operator computes the layers.
- "PyTorch" is the fastest of what there is to choose: oneDNN or not, Adam fused or foreach, all the threads that it may
  have or one.

Each is a process of its own, and they compute in turns, one at a time, several times over. Speeds are tokens per
second, the medians; a ratio is the median of the ratios of neighbouring times. Memory is the largest resident memory of
the process from building the model on, libraries included. The share of the sgemm peak counts the floating-point
operations that seqlm's method needs: in the lowest layer, which looks up its inputs in a table, those that make the
table. The peak is the fastest of MXNet's, NumPy's and PyTorch's products of large matrices.

The number of threads is that of those who compute. seqlm and MXNet prepare the next operations in Python meanwhile, on
another core where there is one; with --confine a process has as many cores as threads.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import gc
import importlib.util
import itertools
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SAMPLE_TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
UNITS = [100, 256, 512, 1024]
BATCHES = [1, 16, 32, 64, 128]
QUICK_SIZES = [(100, 32), (512, 64)]
TIMES = [10, 50, 100, 200]
VOCABULARIES = [65, 1_000, 10_000, 50_000]
TABLES = ["grid", "time", "vocabulary", "start"]
LEARNING_RATE = 0.001
LARGEST_NORM = 1.0
WINDOWS = 64  # in an epoch
PRODUCTS = [(2048, 2048, 2048), (3200, 2048, 512)]
SETTLING = 0.02  # seconds until the threads of whoever computed last no longer spin
LONGEST = 30.0  # seconds for one row of a table, beyond which three repetitions have to do
CHECKED_STEPS = 6
PARAMETERS = {"weight_ih": "i2h_weight", "weight_hh": "h2h_weight", "bias_ih": "i2h_bias", "bias_hh": "h2h_bias"}


@dataclasses.dataclass(frozen=True)
class Model:
    """What is trained, and on windows of which size."""

    cell: str
    units: int
    batch: int
    layers: int
    time: int = 50
    vocabulary: int = 65

    @property
    def tokens(self) -> int:
        """Predictions in a step."""
        return self.time * self.batch

    @property
    def operations(self) -> int:
        """Floating-point operations that seqlm's method needs for a step: three products for each matrix."""
        matrix = GATES[self.cell] * self.units**2
        recurrent = matrix * self.tokens * self.layers
        inputs = matrix * self.tokens * (self.layers - 1) + matrix * self.vocabulary
        return 6 * (recurrent + inputs + self.vocabulary * self.units * self.tokens)

    def text(self) -> np.ndarray:
        """Return random token ids for an epoch."""
        return np.random.default_rng(1).integers(0, self.vocabulary, self.tokens * WINDOWS + 1, dtype=np.int32)

    def __str__(self) -> str:
        return f"{self.cell}, {self.units} units, batch {self.batch}, {counted(self.layers, 'layer')}"


# What runs in the workers.


class SeqlmTraining:
    """A training as `seqlm train` makes it, without what watches it.

    Args:
        model: what to train.
        text: a file to train on; random ids without one.
        losses: where to put the loss of each step, which takes time.
    """

    def __init__(self, model: Model, text: Path | None = None, losses: list[float] | None = None) -> None:
        import seqlm_core as seqlm
        from seqlm_core.architecture import Architecture
        from seqlm_core.components import Components
        from seqlm_core.mxnet import mx, nd
        from seqlm_core.reading.corpus import Corpus, TokenizedText
        from seqlm_core.reading.text import TextFile
        from seqlm_core.reading.vocabulary import Vocabulary
        from seqlm_core.settings import Settings
        from seqlm_core.texts import TrainingTexts
        from seqlm_core.training.extension import Extension
        from seqlm_core.training.language_modelling import language_model_session, read_training_corpus
        from seqlm_core.training.loop import Training

        class Losses(Extension):
            def on_report(self, training: Any, record: dict[str, Any]) -> None:
                losses.append(record["training_nats_per_token"])

        wanted = Settings(
            cell=model.cell,
            hidden_size=model.units,
            layers=model.layers,
            embedding_size=model.units,
            dropout=0.0,
            batch_size=model.batch,
            sequence_length=model.time,
            reset_probability=0.0,
            optimizer="adam",
            learning_rate=LEARNING_RATE,
            schedule="constant",
            warmup=0,
            clip_norm=LARGEST_NORM,
            validation_fraction=0.0,
            sample_every=0,
            epochs=10**6,
            device="cpu",
            **({} if losses is None else {"log_every": 1}),
        )
        components = Components.choose(wanted, seqlm.installed_plugins())
        settings = components.resolve(wanted)
        if text is None:
            ids = model.text()
            vocabulary = Vocabulary([str(token) for token in range(1, model.vocabulary)], [1] * model.vocabulary)
            tokenizer = components.build_tokenizer()
            corpus = Corpus(tokenizer, vocabulary, TokenizedText(ids, len(ids), 0), None)
        else:
            corpus = read_training_corpus(TrainingTexts((TextFile(text),)), components.build_tokenizer(), settings)
        architecture = Architecture.choose(settings, False, len(corpus.vocabulary))
        device = mx.cpu()
        session = language_model_session(corpus, components, settings, architecture, device)
        self.network = session.task.model
        self.device = device
        watchers = [] if losses is None else [Losses()]
        self._loop = Training(
            session.task, session.updates, LEARNING_RATE, settings, watchers, components.draw_from_mxnet
        )
        self._settings = settings
        self._wait = nd.waitall
        self._wait()

    def run(self, steps: int) -> None:
        """Take so many steps, to their end."""
        self._loop.settings = self._settings.replace(max_steps=self._loop.step + steps)
        self._loop.stop_reason = None
        self._loop.run()
        self._wait()


@dataclasses.dataclass(frozen=True)
class TorchWay:
    """What there is to choose in PyTorch."""

    mkldnn: bool = True
    adam: str = "fused"


class TorchTraining:
    """The same training in PyTorch.

    Args:
        model: what to train.
        ids: what to train on.
        way: how.
        weights: of seqlm's model, to begin with.
    """

    def __init__(
        self, model: Model, ids: np.ndarray, way: TorchWay, weights: dict[str, np.ndarray] | None = None
    ) -> None:
        import torch

        torch.manual_seed(1)
        torch.set_flush_denormal(True)  # never slower, and now and then much faster
        torch.backends.mkldnn.set_flags(way.mkldnn)
        self._clip = torch.nn.utils.clip_grad_norm_
        self._loss = torch.nn.functional.cross_entropy
        kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[model.cell]
        self._embedding = torch.nn.Embedding(model.vocabulary, model.units)
        self._recurrent = kind(model.units, model.units, model.layers)
        self._output = torch.nn.Linear(model.units, model.vocabulary)
        modules = torch.nn.ModuleList([self._embedding, self._recurrent, self._output])
        if weights is not None:
            self._take(weights, model.layers)
        self.parameters = list(modules.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, LEARNING_RATE, **{way.adam: True})
        streams = ids[: (len(ids) - 1) // model.tokens * model.tokens].reshape(model.batch, -1, model.time)
        following = ids[1:][: streams.size].reshape(streams.shape)[:, :, -1:]
        windows = np.concatenate([streams, following], axis=2).transpose(1, 2, 0)
        self._windows = torch.tensor(windows, dtype=torch.int64)
        self._window = 0
        self._states: Any = None

    def run(self, steps: int) -> Any:
        """Take so many steps, and return the loss of the last."""
        for _ in range(steps):
            if self._window == len(self._windows):
                self._window, self._states = 0, None
            window = self._windows[self._window]
            self._window += 1
            self.optimizer.zero_grad(set_to_none=True)
            outputs, states = self._recurrent(self._embedding(window[:-1]), self._states)
            self._states = tuple(state.detach() for state in states) if type(states) is tuple else states.detach()
            loss = self._loss(self._output(outputs).flatten(0, 1), window[1:].flatten())
            loss.backward()
            self._clip(self.parameters, LARGEST_NORM, foreach=True)
            self.optimizer.step()
        return loss.detach()

    def _take(self, weights: dict[str, np.ndarray], layers: int) -> None:
        import torch

        pairs = {
            self._embedding.weight: "input.weight",
            self._output.weight: "head.weight",
            self._output.bias: "head.bias",
        }
        for layer, (theirs, ours) in itertools.product(range(layers), PARAMETERS.items()):
            pairs[getattr(self._recurrent, f"{theirs}_l{layer}")] = f"forward_stack.{layer}.{ours}"
        with torch.no_grad():
            for parameter, name in pairs.items():
                parameter.copy_(torch.from_numpy(weights[name]))


class Contestant:
    """What a worker does: each method answers a request of the same name."""

    training: Any = None

    def clear(self) -> None:
        """Forget the last model, and count the largest memory from here on."""
        self.training = None
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # not every C library has it
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def time(self, steps: int) -> tuple[float, float]:
        """Return the seconds that so many steps take, and those of all processors together."""
        began, processors_began = time.perf_counter(), time.process_time()
        self.training.run(steps)
        return time.perf_counter() - began, time.process_time() - processors_began

    def memory(self) -> int:
        """Return the largest resident memory in bytes."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024


class SeqlmContestant(Contestant):
    """Trains with seqlm."""

    def __init__(self, threads: int) -> None:
        from seqlm_core.mxnet import mx

        self._mx = mx

    def versions(self) -> dict[str, str]:
        from seqlm_core.version import __version__

        return {"seqlm": __version__, "MXNet": self._mx.__version__, "NumPy": np.__version__}

    def clear(self) -> None:
        self.training = None
        gc.collect()
        self._mx.nd.waitall()  # arrays go when nothing computes with them any more
        super().clear()

    def build(self, model: dict[str, Any]) -> None:
        self.training = SeqlmTraining(Model(**model))

    def losses(self, model: dict[str, Any], steps: int, weights: str) -> list[float]:
        """Return the losses of the first steps from the weights in a file, which is made if it is not there.

        These are larger than initial weights, from which all gates and cells have nearly the same loss.
        """
        from seqlm_core.build import load_weights, weights_of

        losses: list[float] = []
        training = SeqlmTraining(Model(**model), losses=losses)
        if not Path(weights).exists():
            random = np.random.default_rng(1)
            drawn = {
                name: random.normal(0, 0.15 if "_stack" in name else 1.0, weight.shape).astype(np.float32)
                for name, weight in weights_of(training.network).items()
            }
            np.savez(weights, **drawn)
        load_weights(training.network, dict(np.load(weights)), training.device)
        training.run(steps)
        return losses

    def peak(self) -> dict[str, float]:
        """Return floating-point operations per second, by who computes."""
        nd = self._mx.nd

        def in_mxnet(rows: int, columns: int, inner: int) -> Callable[[], None]:
            left, right = nd.random.uniform(shape=(rows, inner)), nd.random.uniform(shape=(columns, inner))
            return lambda: nd.FullyConnected(left, right, no_bias=True, num_hidden=columns).wait_to_read()

        def in_numpy(rows: int, columns: int, inner: int) -> Callable[[], None]:
            left, right = np.random.default_rng(1).random((2, rows * inner + columns * inner), dtype=np.float32)
            left, right = left[: rows * inner].reshape(rows, inner), right[: inner * columns].reshape(inner, columns)
            return lambda: np.matmul(left, right)

        return {"MXNet": fastest_product(in_mxnet), "NumPy": fastest_product(in_numpy)}


class TorchContestant(Contestant):
    """Trains with PyTorch, in the way that is fastest for the model."""

    def __init__(self, threads: int) -> None:
        import torch

        self._torch = torch
        torch.set_num_threads(threads)

    def versions(self) -> dict[str, str]:
        return {"PyTorch": self._torch.__version__}

    def build(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return the way that was chosen."""
        m = Model(**model)
        ids = m.text()
        seconds = {way: self._seconds(m, ids, way) for way in (TorchWay(True), TorchWay(False))}
        other = dataclasses.replace(min(seconds, key=seconds.__getitem__), adam="foreach")
        seconds[other] = self._seconds(m, ids, other)
        way = min(seconds, key=seconds.__getitem__)
        self.clear()
        self.training = TorchTraining(m, ids, way)
        return dataclasses.asdict(way)

    def losses(self, model: dict[str, Any], steps: int, weights: str) -> list[float]:
        """Return the losses of the first steps from these weights."""
        m = Model(**model)
        training = TorchTraining(m, m.text(), TorchWay(), dict(np.load(weights)))
        return [float(training.run(1)) for _ in range(steps)]

    def peak(self) -> dict[str, float]:
        """Return floating-point operations per second, by who computes."""
        torch = self._torch

        def product(rows: int, columns: int, inner: int) -> Callable[[], None]:
            left, right = torch.rand(rows, inner), torch.rand(inner, columns)
            return lambda: torch.mm(left, right)

        found = {}
        for mkldnn, name in {True: "PyTorch", False: "PyTorch without oneDNN"}.items():
            torch.backends.mkldnn.set_flags(mkldnn)
            found[name] = fastest_product(product)
        return found

    def _seconds(self, model: Model, ids: np.ndarray, way: TorchWay) -> float:
        """Return what a step takes, roughly."""
        training = TorchTraining(model, ids, way)
        seconds = []
        while not seconds or (sum(seconds) < 0.15 and len(seconds) < 50):
            began = time.perf_counter()
            training.run(1)
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds[len(seconds) > 1 :])  # the first prepares much, unless it takes long anyway


def fastest_product(product: Callable[[int, int, int], Callable[[], None]], tries: int = 10) -> float:
    """Return the most floating-point operations per second in a product of two large matrices."""
    fastest = 0.0
    for rows, columns, inner in PRODUCTS:
        compute = product(rows, columns, inner)
        for _ in range(tries):
            began = time.perf_counter()
            compute()
            fastest = max(fastest, 2.0 * rows * columns * inner / (time.perf_counter() - began))
    return fastest


CONTESTANTS = {"seqlm": SeqlmContestant, "MXNet fused": SeqlmContestant, "PyTorch": TorchContestant}


def serve(name: str, threads: int, cores: int) -> None:
    """Answer requests, a JSON object a line, until there are no more."""
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that was started ends this one
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contestant = CONTESTANTS[name](threads)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(contestant, request.pop("do"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def take_first_step(name: str) -> None:
    """Do all that has to be done before a first step, take it, and say so."""
    model = Model("lstm", 256, 32, 1)
    if name == "PyTorch":
        text = SAMPLE_TEXT.read_text(encoding="utf-8")
        vocabulary = {token: i for i, token in enumerate(sorted(set(text)))}
        ids = np.fromiter((vocabulary[token] for token in text), np.int32, len(text))
        TorchTraining(dataclasses.replace(model, vocabulary=len(vocabulary)), ids, TorchWay()).run(1)
    else:
        SeqlmTraining(model, SAMPLE_TEXT).run(1)
    print("done", flush=True)


# What runs in the process that was started.


def environment(name: str, threads: int) -> dict[str, str]:
    """Return the environment of a process of a contestant."""
    kept = {k: v for k, v in os.environ.items() if k not in ("SEQLM_NATIVE", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {**kept, "OMP_NUM_THREADS": str(threads), **({"SEQLM_NATIVE": "0"} if name == "MXNet fused" else {})}


class Worker:
    """A process of one contestant.

    Args:
        name: of the contestant.
        threads: that it computes with.
        confined: whether it is kept on so many cores too.
    """

    def __init__(self, name: str, threads: int, confined: bool) -> None:
        self.name = name
        self.threads = threads
        arguments = ["--serve", name, str(threads), str(threads if confined else 0)]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(name, threads),
        )

    def ask(self, what: str, **values: Any) -> Any:
        """Return the answer to a request."""
        try:
            self._process.stdin.write(json.dumps({"do": what, **values}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            sys.exit(f"The process of {self.name} with {counted(self.threads, 'thread')} died at: {what} {values}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def workers_of(threads: Sequence[int], confined: bool) -> Iterator[list[Worker]]:
    """Start a process for each contestant and number of threads; PyTorch is tried with one thread in any case."""
    keys = [(name, n) for n in sorted({1, *threads}) for name in CONTESTANTS if n in threads or name == "PyTorch"]
    workers: list[Worker] = []
    try:
        for name, n in keys:
            workers.append(Worker(name, n, confined))
            workers[-1].ask("versions")  # one after the other
        yield workers
    finally:
        for worker in workers:
            worker.close()


@dataclasses.dataclass
class Row:
    """What was measured of a model with so many threads.

    Attributes:
        model: what was trained.
        threads: that each contestant might use.
        speeds: tokens per second in each repetition, by contestant.
        busy: processors that were busy on average, by contestant.
        memory: largest resident memory in bytes, by contestant.
        way: how PyTorch was fastest.
        peak: floating-point operations per second that are possible.
    """

    model: Model
    threads: int
    speeds: dict[str, list[float]]
    busy: dict[str, float]
    memory: dict[str, int]
    way: dict[str, Any]
    peak: float | None

    def speed(self, name: str) -> float:
        """Return the tokens per second of a contestant."""
        return statistics.median(self.speeds[name])

    def ratio(self, other: str) -> float:
        """Return how many times faster seqlm is than another contestant."""
        return statistics.median(a / b for a, b in zip(self.speeds["seqlm"], self.speeds[other]))

    @property
    def share_of_peak(self) -> float:
        """The share of the possible operations that seqlm does."""
        return (
            self.speed("seqlm") / self.model.tokens * self.model.operations / self.peak if self.peak else float("nan")
        )

    @property
    def memory_ratio(self) -> float:
        """How many times the memory of PyTorch seqlm takes."""
        return self.memory["seqlm"] / self.memory["PyTorch"]

    def to_json(self) -> dict[str, Any]:
        """Return all of it, and what is made of it."""
        made = {
            "times_pytorch": self.ratio("PyTorch"),
            "times_mxnet_fused": self.ratio("MXNet fused"),
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
        seconds, _ = worker.ask("time", steps=1)
        tried = 1
        while (tried * seconds < 0.1 and tried < 100) or (tried == 1 and seconds < 1):
            tried = max(3, 2 * tried)
            seconds = worker.ask("time", steps=tried)[0] / tried
        steps[worker] = max(3, round(given.seconds / seconds))
        expected += steps[worker] * seconds
    rounds = min(given.repetitions, max(3, int(LONGEST / expected)))
    speeds: dict[Worker, list[float]] = {worker: [] for worker in workers}
    busy: dict[Worker, list[float]] = {worker: [] for worker in workers}
    for _, worker in itertools.product(range(rounds), workers):
        time.sleep(SETTLING)
        seconds, of_processors = worker.ask("time", steps=steps[worker])
        speeds[worker].append(steps[worker] * model.tokens / seconds)
        busy[worker].append(of_processors / seconds)
    memory = {worker: worker.ask("memory") for worker in workers}
    for worker in workers:
        worker.ask("clear")
    rows = []
    for n in threads:
        chosen = {worker.name: worker for worker in workers if worker.threads == n}
        candidates = [worker for worker in workers if worker.name == "PyTorch" and worker.threads in (1, n)]
        torch = chosen["PyTorch"] = max(candidates, key=lambda worker: statistics.median(speeds[worker]))
        rows.append(
            Row(
                model,
                n,
                {name: speeds[worker] for name, worker in chosen.items()},
                {name: statistics.median(busy[worker]) for name, worker in chosen.items()},
                {name: memory[worker] for name, worker in chosen.items()},
                {**ways[torch], "threads": torch.threads},
                peaks.get(n),
            )
        )
    return rows


def check_that_all_compute_the_same(cells: Sequence[str], workers: Sequence[Worker]) -> None:
    """Raise unless the losses of the first steps from the same weights are the same."""
    in_order = sorted(workers, key=lambda worker: worker.name == "PyTorch")  # the first one makes the weights
    with tempfile.TemporaryDirectory() as folder:
        for cell, layers in itertools.product(cells, (1, 2)):
            model = Model(cell, 48, 8, layers, time=20)
            weights = str(Path(folder) / f"{cell}-{layers}.npz")
            reference = None
            for worker in in_order:
                found = worker.ask("losses", model=dataclasses.asdict(model), steps=CHECKED_STEPS, weights=weights)
                reference = reference or found
                message = f"{worker.name}, {counted(worker.threads, 'thread')}: {model}"
                np.testing.assert_allclose(found, reference, rtol=0, atol=1e-4, err_msg=message)


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


def counted(number: int, noun: str) -> str:
    """Return a number and a noun, in the plural where it has to be."""
    return f"{number} {noun}{'s' * (number != 1)}"


def listed(numbers: Sequence[int]) -> str:
    """Return numbers as text."""
    return ", ".join(map(str, numbers))


def print_heading(columns: Sequence[str]) -> None:
    """Print the first two lines of a table."""
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)


def print_row(*values: object) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(map(str, values))} |", flush=True)


SPEED_COLUMNS = ["seqlm", "MXNet fused", "PyTorch", "times PyTorch", "times MXNet fused"]
MEMORY_COLUMNS = ["seqlm MiB", "PyTorch MiB"]


def speed_values(row: Row) -> list[str]:
    """Return what stands in the columns of speeds."""
    speeds = [f"{row.speed(name):,.0f}" for name in CONTESTANTS]
    return [*speeds, f"{row.ratio('PyTorch'):.2f}", f"{row.ratio('MXNet fused'):.2f}"]


def memory_values(row: Row) -> list[str]:
    """Return what stands in the columns of memory."""
    return [f"{row.memory[name] / 2**20:,.0f}" for name in ("seqlm", "PyTorch")]


def print_summary(rows: Sequence[Row]) -> None:
    """Print a line for each claim."""
    print()
    for other in ("PyTorch", "MXNet fused"):
        ratios = sorted((row.ratio(other), str(row)) for row in rows)
        below = [f"{ratio:.2f}: {row}" for ratio, row in ratios if ratio < 1]
        print(
            f"- Speed beside {other}: lowest ratio {ratios[0][0]:.2f} ({ratios[0][1]}), median "
            f"{statistics.median(ratio for ratio, _ in ratios):.2f}; below 1.0 in {len(below)} of {len(rows)} rows"
        )
        for told in below:
            print(f"  - {told}")
    if all(row.peak for row in rows):
        low, high = (choose(rows, key=lambda row: row.share_of_peak) for choose in (min, max))
        print(f"- Share of the sgemm peak: {low.share_of_peak:.1%} ({low}) to {high.share_of_peak:.1%} ({high})")
    single = [row for row in rows if row.threads == 1]
    if single:
        told = ", ".join(f"{name} {max(row.busy[name] for row in single):.2f}" for name in CONTESTANTS)
        print(f"- Processors busy with 1 thread, at most: {told}")
    most = max(rows, key=lambda row: row.memory_ratio)
    more = sum(row.memory_ratio > 1 for row in rows)
    print(
        f"- Memory: at most {most.memory_ratio:.2f} times PyTorch's ({most}); more than PyTorch's in {more} of "
        f"{len(rows)} rows",
        flush=True,
    )


def print_starts(rounds: int, cores: int) -> dict[str, list[float]]:
    """Print a table of the time from the start of a process to the end of its first step, and return the times."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for turn, name in itertools.product(range(rounds + 1), CONTESTANTS):
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, __file__, "--first-step", name], stdout=subprocess.PIPE, env=environment(name, cores)
        ) as process:
            if process.stdout.readline() != b"done\n":
                sys.exit(f"{name} took no first step.")
            if turn:  # the first turn reads the libraries from the disk
                seconds[name].append(time.perf_counter() - began)
    print_heading([f"from process start to the end of the first step, {counted(cores, 'thread')}", "seconds"])
    for name, found in seconds.items():
        print_row(name, f"{statistics.median(found):.2f}")
    return seconds


def processor() -> str:
    """Return the name of the processor."""
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def parse() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="A small grid: 100 units with batch 32, 512 with 64; all cores."
    )
    parser.add_argument("--cells", nargs="+", choices=GATES, default=list(GATES), help="Default: all.")
    parser.add_argument("--units", nargs="+", type=int, help=f"Default: {listed(UNITS)}.")
    parser.add_argument("--batch", nargs="+", type=int, help=f"Default: {listed(BATCHES)}.")
    parser.add_argument("--layers", nargs="+", type=int, default=[1, 2], help="Default: 1 and 2.")
    parser.add_argument("--threads", nargs="+", type=int, help=f"Default: 1 and all cores, here {cores}.")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="Default: all.")
    parser.add_argument("--repetitions", type=int, default=5, help="At most (default: 5); 3 where they take long.")
    parser.add_argument(
        "--seconds", type=float, default=0.4, help="What a repetition takes (default: 0.4); at least 3 steps."
    )
    parser.add_argument(
        "--confine",
        action="store_true",
        help="Keep each process on as many cores as it has threads.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write all that was measured to a file too.")
    given = parser.parse_args()
    given.threads = given.threads or ([cores] if given.quick else sorted({1, cores}))
    quick_sizes = given.quick and not given.units and not given.batch
    given.sizes = QUICK_SIZES if quick_sizes else list(itertools.product(given.units or UNITS, given.batch or BATCHES))
    return given


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        name, threads, cores = sys.argv[2:]
        serve(name, int(threads), int(cores))
        return
    if sys.argv[1:2] == ["--first-step"]:
        take_first_step(sys.argv[2])
        return
    given = parse()
    for package in ("seqlm_core", "torch"):
        if importlib.util.find_spec(package) is None:
            sys.exit(f"There is no {package} here; this needs an environment with seqlm and torch.")
    began = time.perf_counter()
    cores = len(os.sched_getaffinity(0))
    figures: dict[str, Any] = {}

    def write() -> None:
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    needed = {*given.threads, *([cores] if {"time", "vocabulary"} & set(given.tables) else [])}
    with workers_of(sorted(needed), given.confine) as workers:
        check_that_all_compute_the_same(given.cells, workers)
        versions = {"Python": platform.python_version()}
        for worker in workers:
            versions.update(worker.ask("versions"))
        figures.update(processor=processor(), cores=cores, versions=versions, confined=given.confine)
        print(f"- {counted(cores, 'core')} of: {processor()}")
        print("- " + ", ".join(f"{name} {version}" for name, version in versions.items()))
        peaks = figures["sgemm_peaks"] = sgemm_peaks(workers, given.threads)
        if "grid" in given.tables:
            figures["grid"], rows = [], []
            print_heading(
                ["cell", "units", "batch", "layers", "threads", *SPEED_COLUMNS, "of sgemm peak", *MEMORY_COLUMNS]
            )
            timed = [worker for worker in workers if worker.threads in given.threads or worker.name == "PyTorch"]
            for cell, (units, batch), layers in itertools.product(given.cells, given.sizes, given.layers):
                for row in measure(Model(cell, units, batch, layers), timed, given.threads, given, peaks):
                    rows.append(row)
                    figures["grid"].append(row.to_json())
                    share = f"{row.share_of_peak:.1%}"
                    print_row(cell, units, batch, layers, row.threads, *speed_values(row), share, *memory_values(row))
                write()
            print_summary(rows)
        all_cores = [worker for worker in workers if worker.threads == cores or worker.name == "PyTorch"]
        for table, values in {"time": TIMES, "vocabulary": VOCABULARIES}.items():
            if table in given.tables:
                figures[table] = []
                told = {"time": "time steps", "vocabulary": "vocabulary"}[table]
                print_heading([f"lstm, 256 units, batch 32: {told}", *SPEED_COLUMNS, *MEMORY_COLUMNS])
                for value in values:
                    model = dataclasses.replace(Model("lstm", 256, 32, 1), **{table: value})
                    (row,) = measure(model, all_cores, [cores], given, {})
                    figures[table].append(row.to_json())
                    print_row(f"{value:,}", *speed_values(row), *memory_values(row))
    if "start" in given.tables:
        figures["start"] = print_starts(given.repetitions, cores)
    minutes = (time.perf_counter() - began) / 60
    figures["minutes"] = minutes
    write()
    print(f"\nMeasured in {minutes:.0f} minutes.")


if __name__ == "__main__":
    main()
