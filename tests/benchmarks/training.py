"""Tokens trained on per second: seqlm beside its peers, and beside MXNet's own fused layer.

python tests/benchmarks/training.py --quick --peer pytorch=/torch/bin/python --peer jax=/jax/bin/python
python tests/benchmarks/training.py --json figures.json

The peers are PyTorch (torch), JAX (jax) and Keras on TensorFlow (tensorflow), those that there are. They hardly install
together with MXNet, so each may live in an environment of its own, which --peer names. The machine should do nothing
else; a timing during which other programs computed is taken again. With PyTorch alone all of it takes an hour on 2
cores, with --quick 5 minutes, and each of the small tables by itself (--tables) 1 or 2. JAX and Keras, which compile
each model, take longer.

With --tables bfloat16, which takes a processor with AVX512-BF16, seqlm trains with bfloat16, and PyTorch in the fastest
way with automatic mixed precision (autocast) or without. The others go on with float32.

All train the same network: embeddings of as many channels as there are units, recurrent layers, a projection with
bias, the mean cross-entropy, gradients clipped to a norm of 1, Adam, states carried over from window to window. First
the program checks that all compute the same losses from the same weights. (Keras' LSTM and simple RNN have one bias
where the others have two. Their first losses are the same; the others nearly.)

- "seqlm" is what `seqlm train` does, the loop included. "MXNet fused" is the same with SEQLM_NATIVE=0: MXNet's fused
  operator computes the layers.
- Each peer is the fastest of what there is to choose, with all the threads that it may have or one. PyTorch: oneDNN or
  not, Adam fused or foreach. JAX: one jitted function for a step, in which the arrays of the step before are reused;
  the input weights are multiplied once by the embedding of each token; `lax.scan` takes 1 or 5 time steps a turn.
  Keras: its layers and its Adam in one function for a step, compiled by XLA or not, the time steps unrolled or not.

Each is a process of its own, and they compute in turns, one at a time, several times over. Speeds are tokens per
second, the medians; a ratio is the median of the ratios of neighbouring times. The ratio that counts is that to the
fastest peer. Memory is the largest resident memory of the process from building the model on, libraries included. The
share of the sgemm peak counts the floating-point operations that seqlm's method needs: in the lowest layer, which looks
up its inputs in a table, those that make the table. The peak is the fastest of MXNet's, NumPy's and PyTorch's products
of large matrices.

The number of threads is that of those who compute. seqlm and MXNet prepare the next operations in Python meanwhile, on
another core where there is one; with --confine a process has as many cores as threads, as JAX and Keras have always.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import itertools
import json
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any

from training_speed.contestant import PEERS, serve
from training_speed.measuring import check_that_all_compute_the_same, measure, sgemm_peaks
from training_speed.model import GATES, Model, counted, listed
from training_speed.starts import print_starts, take_first_step
from training_speed.tables import (
    memory_names,
    memory_values,
    print_heading,
    print_row,
    print_summary,
    speed_columns,
    speed_values,
)
from training_speed.workers import workers_of

UNITS = [100, 256, 512, 1024]
BATCHES = [1, 16, 32, 64, 128]
QUICK_SIZES = [(100, 32), (512, 64)]
TIMES = [10, 50, 100, 200]
VOCABULARIES = [65, 1_000, 10_000, 50_000]
# Units, batch, time steps and vocabulary of an LSTM of two layers.
BFLOAT16_SIZES = [(100, 32, 50, 65), (256, 32, 50, 65), (512, 64, 50, 65), (1024, 64, 50, 65), (512, 32, 35, 10_000)]
TABLES = ["grid", "time", "vocabulary", "bfloat16", "start"]


def processor() -> str:
    """Return the name of the processor."""
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def has_bfloat16() -> bool:
    """Whether the processor has AVX512-BF16."""
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text().split()


def peer_python(text: str) -> tuple[str, str]:
    """Return the name of a peer and its Python, of NAME=PYTHON."""
    name, _, python = text.partition("=")
    names = {peer.lower(): peer for peer in PEERS}
    if name.lower() not in names or not Path(python).is_file():
        raise argparse.ArgumentTypeError(f"{text} is not NAME=PYTHON with one of {', '.join(names)} and a file")
    return names[name.lower()], python


def parse() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peer",
        dest="peers",
        metavar="NAME=PYTHON",
        type=peer_python,
        action="append",
        default=[],
        help="The Python of an environment with pytorch, jax or keras. Those that are installed here need none.",
    )
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
        name, threads = sys.argv[2:]
        take_first_step(name, int(threads))
        return
    given = parse()
    if importlib.util.find_spec("seqlm_core") is None:
        sys.exit("There is no seqlm_core here; this needs an environment with seqlm.")
    pythons = dict(given.peers)
    peers = [peer for peer, package in PEERS.items() if peer in pythons or importlib.util.find_spec(package)]
    if not peers:
        print("- no peer is installed here; --peer names the Python of one")
    names = ["seqlm", "MXNet fused", *peers]
    began = time.perf_counter()
    cores = len(os.sched_getaffinity(0))
    figures: dict[str, Any] = {}

    def write() -> None:
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    needed = {*given.threads, *([cores] if {"time", "vocabulary", "bfloat16"} & set(given.tables) else [])}
    with workers_of(names, sorted(needed), given.confine, pythons) as workers:
        check_that_all_compute_the_same(given.cells, workers)
        versions = {"Python": platform.python_version()}
        for worker in workers:
            versions.update(worker.ask("versions"))
        figures.update(processor=processor(), cores=cores, versions=versions, confined=given.confine)
        print(f"- {counted(cores, 'core')} of: {processor()}")
        print("- " + ", ".join(f"{name} {version}" for name, version in versions.items()))
        peaks = figures["sgemm_peaks"] = sgemm_peaks(workers, given.threads)
        memory_columns = [f"{name} MiB" for name in memory_names(names)]
        if "grid" in given.tables:
            figures["grid"], rows = [], []
            sizes = ["cell", "units", "batch", "layers", "threads"]
            print_heading([*sizes, *speed_columns(names), "of sgemm peak", *memory_columns])
            timed = [worker for worker in workers if worker.threads in given.threads or worker.name in PEERS]
            for cell, (units, batch), layers in itertools.product(given.cells, given.sizes, given.layers):
                for row in measure(Model(cell, units, batch, layers), timed, given.threads, given, peaks):
                    rows.append(row)
                    figures["grid"].append(row.to_json())
                    values = [*speed_values(row, names), f"{row.share_of_peak:.1%}", *memory_values(row, names)]
                    print_row(cell, units, batch, layers, row.threads, *values)
                write()
            print_summary(rows, names)
        all_cores = [worker for worker in workers if worker.threads == cores or worker.name in PEERS]
        for table, values in {"time": TIMES, "vocabulary": VOCABULARIES}.items():
            if table in given.tables:
                figures[table] = []
                told = {"time": "time steps", "vocabulary": "vocabulary"}[table]
                print_heading([f"lstm, 256 units, batch 32: {told}", *speed_columns(names), *memory_columns])
                for value in values:
                    model = dataclasses.replace(Model("lstm", 256, 32, 1), **{table: value})
                    (row,) = measure(model, all_cores, [cores], given, {})
                    figures[table].append(row.to_json())
                    print_row(f"{value:,}", *speed_values(row, names), *memory_values(row, names))
        if "bfloat16" in given.tables and not has_bfloat16():
            print("- this processor has no AVX512-BF16, so there is no table of bfloat16")
        elif "bfloat16" in given.tables:
            figures["bfloat16"] = []
            print_heading(
                ["lstm, 2 layers: units", "batch", "time steps", "vocabulary", "precision", *speed_columns(names)]
            )
            for units, batch, time_steps, vocabulary in BFLOAT16_SIZES:
                for precision in ("float32", "bfloat16"):
                    model = Model("lstm", units, batch, 2, time_steps, vocabulary, precision)
                    (row,) = measure(model, all_cores, [cores], given, {})
                    figures["bfloat16"].append(row.to_json())
                    print_row(units, batch, time_steps, f"{vocabulary:,}", precision, *speed_values(row, names))
    if "start" in given.tables:
        figures["start"] = print_starts(names, given.repetitions, cores, pythons)
    minutes = (time.perf_counter() - began) / 60
    figures["minutes"] = minutes
    write()
    print(f"\nMeasured in {minutes:.0f} minutes.")


if __name__ == "__main__":
    main()
