"""Compares the speed of a training with one and with several workers on this machine, each of which has one thread.

python tests/benchmarks/workers.py

The model is an LSTM of 512 units; a batch of 128 x 100 characters is shared by the workers.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

SAMPLE_TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
WARM_UP = 3
COMMAND = [sys.executable, "-c", "from seqlm_entry import main; main()"]


def training_options(text: Path, units: int, windows: int, length: int, steps: int, out: Path) -> list[str]:
    """Return the arguments of a training of an LSTM whose steps are measured."""
    options = {
        "--hidden-size": units, "--batch-size": windows, "--sequence-length": length, "--max-steps": WARM_UP + steps,
        "--log-every": 1, "--sample-every": 0, "--validation-fraction": 0.01, "--schedule": "constant", "--out": out,
    }  # fmt: skip
    pairs = [str(part) for pair in options.items() for part in pair]
    return ["train", str(text), "--quiet", "--overwrite", *pairs]


def time_of_steps(run: Path) -> float:
    """Return the mean time of a step in seconds, from the times at which the losses were known.

    The losses of some steps are fetched together, when that of the last one is computed. So that one's time counts.
    """
    records = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    times = [(record["step"], record["seconds"]) for record in records if record["kind"] == "report"][WARM_UP:]
    mean = (times[-1][1] - times[0][1]) / len(times)
    ends = [earlier for earlier, later in zip(times, times[1:]) if later[1] - earlier[1] > mean / 3]
    (first, begin), (last, end) = ends[0], ends[-1]
    return float(end - begin) / (last - first)


def seconds_a_step(text: Path, workers: int, units: int, steps: int, out: Path) -> float:
    """Return the time of a step."""
    several = [] if workers == 1 else ["--workers", str(workers)]
    subprocess.run(
        [*COMMAND, *training_options(text, units, 128, 100, steps, out), *several],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time_of_steps(out)


@click.command(help=__doc__)
@click.option("--workers", "counts", multiple=True, type=click.IntRange(min=1), default=(1, 2), show_default=True)
@click.option("--units", type=click.IntRange(min=1), default=512, show_default=True, help="Units of the LSTM.")
@click.option("--steps", type=click.IntRange(min=2), default=20, show_default=True, help="Steps to measure.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Medians of so many rounds.")
def main(counts: tuple[int, ...], units: int, steps: int, rounds: int) -> None:
    found: dict[int, list[float]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text(SAMPLE_TEXT.read_text(encoding="utf-8") * 40, encoding="utf-8")
        for _ in range(rounds):
            for count in counts:
                found[count].append(seconds_a_step(text, count, units, steps, Path(folder) / "run"))
    one = statistics.median(found[counts[0]])
    print("| workers | ms a step | characters a second | times the first |")
    print("| ---: | ---: | ---: | ---: |")
    for count, seconds in found.items():
        median = statistics.median(seconds)
        print(f"| {count} | {1e3 * median:.0f} | {128 * 100 / median:,.0f} | {one / median:.2f} |")


if __name__ == "__main__":
    main()
