"""Trains 10,000 steps and watches memory and open files.

python tests/faults/resources.py --steps 10000
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import seqlm_core as seqlm
from seqlm_core.training.extensions import plot
from seqlm_core.training.extensions.history import History

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
MOST_GROWTH = 8 << 20


def memory() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    given = parser.parse_args()
    measured: list[tuple[int, int, int]] = []
    # matplotlib's memory rises by some 30 MiB over the first 40 pictures and then no more, which would hide a leak.
    plot.SECONDS_BETWEEN_PLOTS = math.inf
    tenth = max(1, given.steps // 10)
    original = History.on_report

    def on_report(history: History, training: Any, record: Any) -> None:
        original(history, training, record)
        measured.append((record["step"], memory(), len(os.listdir("/proc/self/fd"))))
        print(f"step {record['step']}: {measured[-1][1] / 2**20:.1f} MiB, {measured[-1][2]} open files", flush=True)

    History.on_report = on_report  # type: ignore[method-assign]
    small = {"hidden_size": 16, "sequence_length": 10, "batch_size": 8, "epochs": 1000, "log_every": tenth}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        seqlm.train(
            TEXT, out=out, cell="bilstm", max_steps=given.steps, checkpoint_every="100", sample_every=500, **small
        )
    # The first tenth fills caches.
    growth = measured[-1][1] - measured[0][1]
    print(f"memory grew by {growth / 2**20:.1f} MiB from step {measured[0][0]} to step {measured[-1][0]}")
    assert growth < MOST_GROWTH
    assert measured[-1][2] == measured[0][2]


if __name__ == "__main__":
    main()
