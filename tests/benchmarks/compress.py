"""Measures what 8 bits a weight come to: the size of a run, how fast it makes text, and what it loses.

python tests/benchmarks/compress.py [--models NAME] [--steps N] [--rounds N]

Models of several sizes are trained on the beginning of the sample text, the default one as usual and the larger ones
for so many steps, and compressed. The loss is that on the end of the text. A run and the smaller one draw the same
number of characters in turns; the table gives medians.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click

import seqlm_core as seqlm
from seqlm_core.native.generation import generation_library
from seqlm_core.native.library import instruction_sets

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
END = 0.1
"""The share of the text on which the loss is taken."""

MODELS: dict[str, dict[str, Any]] = {
    "default": {},
    "512": {"hidden_size": 512},
    "1024": {"hidden_size": 1024, "embedding_size": 256},
    "2x1500": {"hidden_size": 1500, "layers": 2, "embedding_size": 512},
}
TEXTS = (1, 64)
SECONDS = 0.5
"""About how long one drawing takes."""


def seconds_of(run: seqlm.LanguageRun, texts: int, length: int) -> float:
    """Return how long it takes to draw texts."""
    started = time.perf_counter()
    for pieces in run.stream_each("The ", count=texts, length=length, temperature=1.0, seed=1):
        for _ in pieces:
            pass
    return time.perf_counter() - started


def speeds_in_turns(runs: list[seqlm.LanguageRun], texts: int, rounds: int) -> list[float]:
    """Return the median characters a second of each run, of texts that take about :data:`SECONDS`."""
    seconds_of(runs[0], texts, 10)
    length = max(10, int(SECONDS * 40 / seconds_of(runs[0], texts, 40)))
    speeds: list[list[float]] = [[] for _ in runs]
    for run in runs:
        seconds_of(run, texts, 10)
    for _ in range(rounds):
        for run, found in zip(runs, speeds):
            found.append(texts * length / seconds_of(run, texts, length))
    return [statistics.median(found) for found in speeds]


def print_rows(name: str, run: seqlm.LanguageRun, out: Path, end: Path, rounds: int) -> None:
    """Compress a run and print the rows of both."""
    runs = [run, run.compress(out)]
    sizes = [one.weights_file.stat().st_size for one in runs]
    losses = [one.evaluate(end)[0].nats_per_token for one in runs]
    speeds = [speeds_in_turns(runs, texts, rounds) for texts in TEXTS]
    for k, bits in enumerate((32, 8)):
        drawn = [f"{found[k]:,.0f} ({found[k] / found[0]:.2f})" for found in speeds]
        cells = [name if k == 0 else "", str(bits), f"{sizes[k] / 1e6:.2f}", *drawn, f"{losses[k]:.4f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


@click.command(help=__doc__)
@click.option("--models", "names", multiple=True, type=click.Choice(list(MODELS)), help="Which; all if none is named.")
@click.option("--steps", default=200, show_default=True, help="How long the larger models are trained.")
@click.option("--rounds", default=9, show_default=True, help="How often each drawing is timed.")
def main(names: tuple[str, ...], steps: int, rounds: int) -> None:
    library = generation_library()
    print(f"instruction set: {'none, NumPy' if library is None else instruction_sets(library)[-1]}\n")
    headings = [f"{texts} text{'s' * (texts > 1)}, characters a second" for texts in TEXTS]
    print(f"| units | bits | MB | {' | '.join(headings)} | nats a character |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        text = TEXT.read_text(encoding="utf-8")
        cut = int((1 - END) * len(text))
        beginning, end = Path(folder, "beginning"), Path(folder, "end")
        beginning.write_text(text[:cut], encoding="utf-8")
        end.write_text(text[cut:], encoding="utf-8")
        for name in names or MODELS:
            settings = {"max_steps": steps, **MODELS[name]} if MODELS[name] else {}
            run = seqlm.train(beginning, validation=end, out=Path(folder, name), quiet=True, sample_every=0, **settings)
            print_rows(name, run, Path(folder, f"{name}-8"), end, rounds)


if __name__ == "__main__":
    main()
