"""Compares updates of all embeddings with those of the words that a step reads, for vocabularies of several sizes.

python tests/benchmarks/embedding_updates.py

The model is an LSTM with an adaptive softmax. The words of the text are drawn by Zipf's law.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import click
from output_layers import SETTINGS, WARM_UP, StepTimes, zipf_text

import seqlm_core as seqlm

STEPS = 20


def ms_a_step(text: Path, words: int, units: int, **settings: Any) -> float:
    """Return the median time of a step."""
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        seqlm.train(
            text, out=Path(folder) / "run", quiet=True, extensions=[times], max_vocabulary=words, hidden_size=units,
            embedding_size=units, output_layer="adaptive",
            **{**SETTINGS, **settings, "validation_fraction": 0.0, "max_steps": WARM_UP + STEPS, "epochs": 1},
        )  # fmt: skip
    return 1e3 * statistics.median(times.seconds)


@click.command(help=__doc__)
@click.option("--words", multiple=True, type=click.IntRange(min=50), default=(10_000, 50_000, 250_000, 1_000_000))
@click.option("--units", type=click.IntRange(min=1), default=200, show_default=True, help="Units of the LSTM.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="The best of so many.")
def main(words: tuple[int, ...], units: int, rounds: int) -> None:
    print("| words | all embeddings, ms a step | those that are read |")
    print("| ---: | ---: | ---: |")
    for size in words:
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder) / "text.txt"
            text.write_text(zipf_text(size))
            found = [
                [ms_a_step(text, size, units, embedding_updates=updates) for updates in ("all", "read")]
                for _ in range(rounds)
            ]
        print(f"| {size:,} | {' | '.join(f'{min(times):.0f}' for times in zip(*found))} |", flush=True)


if __name__ == "__main__":
    main()
