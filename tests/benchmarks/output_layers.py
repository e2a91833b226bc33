"""Compares the output layers for large vocabularies: the speed of training, and what is learnt in as many epochs.

python tests/benchmarks/output_layers.py --text TEXT --words 50000

TEXT is cut into words at white space; the most frequent of them are the vocabulary. Without a text, there is one of
words that are drawn by Zipf's law, which shows the speed alone.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

import seqlm_core as seqlm

LAYERS: dict[str, dict[str, Any]] = {
    "softmax": {},
    "adaptive": {"output_layer": "adaptive"},
    "softmax, tied": {"tie_weights": True},
    "adaptive, tied": {"output_layer": "adaptive", "tie_weights": True},
}
SETTINGS: dict[str, Any] = {
    "tokenizer": "space", "min_count": 1, "batch_size": 32, "sequence_length": 35, "dropout": 0.2,
    "learning_rate": 0.005, "validation_fraction": 0.02, "sample_every": 0, "log_every": 10, "validate_every": 0,
}  # fmt: skip
RULES = {
    "words drawn a second, temperature 0.8": {"temperature": 0.8},
    "temperature 1": {"temperature": 1.0},
    "top-p 0.9": {"temperature": 1.0, "top_p": 0.9},
}
WARM_UP = 3


class StepTimes(seqlm.Extension):
    """Measures the time of each step after the first ones."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = 0.0

    def on_step(self, training: Any) -> None:
        training.collect_losses()
        now = time.perf_counter()
        if training.step > WARM_UP:
            self.seconds.append(now - self._last)
        self._last = now


def zipf_text(words: int) -> str:
    """Return a text with every word of a vocabulary, most of them drawn by Zipf's law."""
    random = np.random.default_rng(1)
    shares = 1 / np.arange(1, words + 1)
    drawn = random.choice(words, size=4 * words, p=shares / shares.sum())
    numbers = np.concatenate([np.arange(words), drawn])
    random.shuffle(numbers)
    return " ".join(f"w{number}" for number in numbers)


def words_a_second(run: seqlm.LanguageRun, **rules: Any) -> float:
    """Return how many words a second are drawn, one text at a time."""
    run.generate("", length=50, seed=1, **rules)
    started = time.perf_counter()
    run.generate("", length=500, seed=1, **rules)
    return 500 / (time.perf_counter() - started)


@click.command(help=__doc__)
@click.option("--text", type=click.Path(exists=True, dir_okay=False), help="A text of words.")
@click.option("--words", type=click.IntRange(min=50), default=50_000, show_default=True, help="The vocabulary.")
@click.option("--units", type=click.IntRange(min=1), default=200, show_default=True, help="Units of the LSTM.")
@click.option("--epochs", type=click.IntRange(min=1), help="So many epochs.  [default: 20 steps]")
@click.option("--layer", "layers", multiple=True, type=click.Choice(list(LAYERS)), help="This output layer alone.")
def main(text: str | None, words: int, units: int, epochs: int | None, layers: tuple[str, ...]) -> None:
    length = {"max_steps": WARM_UP + 20, "epochs": 1} if epochs is None else {"epochs": epochs}
    print(f"| output layer | weights | ms a step | perplexity | {' | '.join(RULES)} |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(text) if text else Path(folder) / "text.txt"
        if text is None:
            path.write_text(zipf_text(words))
        for name in layers or LAYERS:
            times = StepTimes()
            run = seqlm.train(
                path, out=Path(folder) / "run", overwrite=True, quiet=True, extensions=[times], max_vocabulary=words,
                hidden_size=units, embedding_size=units, **SETTINGS, **length, **LAYERS[name],
            )  # fmt: skip
            best = min(r["validation_nats_per_token"] for r in run.history() if r["kind"] == "epoch")
            drawn = " | ".join(f"{words_a_second(run, **rules):,.0f}" for rules in RULES.values())
            print(
                f"| {name} | {sum(array.size for array in run.weights.values()):,} | "
                f"{1e3 * statistics.median(times.seconds):.0f} | {math.exp(best):.1f} | {drawn} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
