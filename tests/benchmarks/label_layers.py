"""Compares the speed of a tagger's training with a softmax and with a conditional random field.

python tests/benchmarks/label_layers.py

The labels and tokens are drawn; the cell is a bilstm. The two take turns.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import click
import numpy as np
from output_layers import StepTimes

import seqlm_core as seqlm

SEQUENCES, TOKENS, LENGTHS = 3000, 8000, (8, 45)


@click.command(help=__doc__)
@click.option("--labels", type=click.IntRange(min=2), default=25, show_default=True, help="Different labels.")
@click.option("--units", type=click.IntRange(min=1), default=200, show_default=True, help="Units in each direction.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Sequences of a batch.")
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True, help="Medians of so many rounds.")
def main(labels: int, units: int, batch_size: int, rounds: int) -> None:
    random = np.random.default_rng(1)
    examples = [
        ([f"w{i}" for i in random.integers(0, TOKENS, n)], [f"L{i}" for i in random.integers(0, labels, n)])
        for n in random.integers(*LENGTHS, SEQUENCES)
    ]
    found: dict[str, list[float]] = {"softmax": [], "crf": []}
    for _ in range(rounds):
        for layer, times in found.items():
            steps = StepTimes()
            model = seqlm.SequenceModel(
                hidden_size=units, embedding_size=100, output_layer=layer, epochs=2, batch_size=batch_size,
                validation_fraction=0.0, min_count=1,
            )  # fmt: skip
            with tempfile.TemporaryDirectory() as folder:
                model.train(examples, out=Path(folder) / "run", quiet=True, extensions=[steps])
            # Graphs are made in the first epoch.
            times.append(1e3 * statistics.mean(steps.seconds[len(steps.seconds) // 2 :]))
    softmax, crf = (statistics.median(times) for times in found.values())
    print("| output layer | ms a step |\n| --- | ---: |")
    print(f"| softmax | {softmax:.1f} |\n| crf | {crf:.1f} ({100 * (crf / softmax - 1):+.0f} %) |")


if __name__ == "__main__":
    main()
