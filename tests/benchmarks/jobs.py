"""Measures how fast texts are drawn and scored by several processes, and how much scoring in parts changes the figures.

python tests/benchmarks/jobs.py RUN TEXT [--characters N]

Each command is a process of its own, and its time is from beginning to end. RUN is a language model; the beginning of
TEXT is scored.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

import seqlm_core as seqlm
from seqlm_core.engine.threads import usable_cores

COMMAND = [sys.executable, "-c", "from seqlm_entry import main; main()"]


def seconds_of(*arguments: object, repeats: int) -> float:
    """Return the median time of a command."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run([*COMMAND, *map(str, arguments)], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def compared(run: Path, text: Path) -> str:
    """Return in words how the surprisals that are computed in parts differ from those of the whole text."""
    opened = seqlm.LanguageRun(run)
    of_whole, of_parts = (opened.score(text, per="token", jobs=jobs) for jobs in (None, 1))
    pairs = [(a.bits, b.bits) for a, b in zip(of_whole, of_parts) if a.bits is not None]
    differences = sorted(abs(a - b) for a, b in pairs)
    mean = statistics.fmean(a for a, _ in pairs)
    return (
        f"{len(pairs):,} tokens: {mean:.6f} bits a token from beginning to end, "
        f"{statistics.fmean(b for _, b in pairs):.6f} in parts; of all tokens 99.9 % differ by at most "
        f"{differences[int(0.999 * (len(differences) - 1))]:.1e} bits, and each by at most {differences[-1]:.1e}"
    )


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("text", type=click.Path(path_type=Path))
@click.option("--characters", default=500_000, show_default=True, help="How much of the text is scored.")
@click.option("--count", default=2_000, show_default=True, help="How many texts of 500 tokens are drawn.")
@click.option("--repeats", default=3, show_default=True)
def main(run: Path, text: Path, characters: int, count: int, repeats: int) -> None:
    numbers = sorted({1, usable_cores()})
    with tempfile.TemporaryDirectory() as folder:
        beginning = Path(folder) / "text"
        beginning.write_text(text.read_text(encoding="utf-8")[:characters], encoding="utf-8")
        tokens = sum(1 for _ in seqlm.LanguageRun(run).score(beginning, per="token", jobs=1))
        print("| command | seconds | tokens a second |")
        print("| --- | ---: | ---: |")
        for jobs in numbers:
            drawn = ["sample", run, "--count", count, "--seed", 1, "--temperature", 1, "--jobs", jobs, "--json-lines"]
            seconds = seconds_of(*drawn, repeats=repeats)
            print(
                f"| `sample --count {count} --jobs {jobs}` | {seconds:.1f} | {500 * count / seconds:,.0f} |", flush=True
            )
        for jobs in (None, *numbers):
            options = [] if jobs is None else ["--jobs", jobs]
            seconds = seconds_of("score", run, beginning, "--json", *options, repeats=repeats)
            named = " ".join(map(str, ["score", *options]))
            print(f"| `{named}` | {seconds:.1f} | {tokens / seconds:,.0f} |", flush=True)
        print(compared(run, beginning))


if __name__ == "__main__":
    main()
