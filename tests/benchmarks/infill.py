"""How well gaps are filled: a bidirectional model against a unidirectional one of the same size.

``python tests/benchmarks/infill.py TEXT`` trains both on the first nine tenths of a text, unless their runs are there
already, and fills random gaps of 1, 3 and 5 characters in the rest. It prints a row for each method: the share of gaps
that are filled exactly, the share of characters, and the processor time a gap. ``OMP_NUM_THREADS=1`` makes the times
those of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import seqlm_core as seqlm
from seqlm_core.generation import infilling
from seqlm_core.generation.beam import beam_search
from seqlm_core.generation.prompts import Prompt

MARK = "\0"
CONTEXT = 200  # characters on either side of a gap
FOLLOWING = 16  # characters after a gap that the unidirectional model rescores by, as many as the bidirectional one

Method = Callable[[str, int, str], str]
"""Returns what fills a gap, given the text before it, its length, and the text after it."""


def infill(run: seqlm.LanguageRun, both_sides_weight: float = infilling.BOTH_SIDES_WEIGHT, sweeps: int = 6) -> Method:
    """Fill with the bidirectional model, as the product does."""

    def fill(before: str, length: int, after: str) -> str:
        default, infilling.BOTH_SIDES_WEIGHT = infilling.BOTH_SIDES_WEIGHT, both_sides_weight
        (filled,) = run.infill(before + MARK * length + after, mark=MARK, sweeps=sweeps)
        infilling.BOTH_SIDES_WEIGHT = default
        return filled.text[len(before) : len(before) + length]

    return fill


def draft(run: seqlm.LanguageRun) -> Method:
    """Write the most probable character after the text before the gap, and again, not knowing what follows."""
    return lambda before, length, after: run.sample(before, length, temperature=0)[len(before) :]


def rescore(run: seqlm.LanguageRun, width: int) -> Method:
    """Of the fillings that a beam search finds, choose the one with the most probable filling and following text.

    For one character a beam as wide as the vocabulary holds them all.
    """

    def fill(before: str, length: int, after: str) -> str:
        network, vocabulary = run.network, run.vocabulary
        left = vocabulary.ids(before).tolist()
        found = beam_search(network, vocabulary, Prompt(ids=tuple(left)), max(width, len(vocabulary)), length)
        following = vocabulary.ids(after[:FOLLOWING])
        states = network.begin(1)
        for token in left:
            _, states = network.read(np.array([token]), states)
        states = network.select(states, np.zeros(len(found), dtype=np.int64))
        fillings = np.array([hypothesis.tokens for hypothesis in found])
        scores = np.array([sum(hypothesis.log_probabilities) for hypothesis in found])
        for tokens in fillings.T:
            hidden, states = network.read(tokens, states)
        for token in following:
            scores += network.log_probabilities(hidden)[:, token]
            hidden, states = network.read(np.full(len(found), token), states)
        return "".join(vocabulary.tokens[token] for token in fillings[scores.argmax()])

    return fill


def trained(path: Path, text: Path, settings: dict[str, object]) -> seqlm.LanguageRun:
    """Return the run at a path, trained first if it is not there."""
    return seqlm.LanguageRun(path) if path.exists() else seqlm.train(text, out=path, sample_every=0, **settings)


def measure(method: Method, text: str, length: int, places: np.ndarray) -> tuple[float, float, float]:
    """Return the shares of gaps and of characters that are filled right, and the processor time of a gap in seconds."""
    exact = characters = 0
    start = time.process_time()
    for place in places.tolist():
        filling = method(text[place - CONTEXT : place], length, text[place + length : place + length + CONTEXT])
        truth = text[place : place + length]
        exact += filling == truth
        characters += sum(a == b for a, b in zip(filling, truth))
    seconds = time.process_time() - start
    return exact / len(places), characters / len(places) / length, seconds / len(places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/infill"), help="where the two runs are, or go to")
    parser.add_argument("--cells", nargs=2, default=["bilstm", "lstm"], help="a bidirectional cell and one that is not")
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--gaps", type=int, default=1000, help="of each length")
    parser.add_argument("--beam", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    text = options.text.read_text(encoding="utf-8")
    cut = len(text) * 9 // 10
    options.runs.mkdir(parents=True, exist_ok=True)
    training_text = options.runs / "training.txt"
    training_text.write_text(text[:cut], encoding="utf-8")
    settings = {"hidden_size": options.hidden_size, "epochs": options.epochs, "dropout": options.dropout}
    settings["validation_fraction"] = 0.05
    both, left = (trained(options.runs / cell, training_text, {**settings, "cell": cell}) for cell in options.cells)
    held_out = options.runs / "held-out.txt"
    held_out.write_text(text[cut:], encoding="utf-8")
    for run in (both, left):
        (figures,) = run.evaluate(held_out)
        print(run.settings.cell, figures.to_json())

    methods: dict[str, Method] = {
        f"{options.cells[0]}, infilling": infill(both),
        f"{options.cells[0]}, infilling, likelihood alone": infill(both, 0.0),
        f"{options.cells[0]}, infilling, pseudo-likelihood alone": infill(both, 1.0),
        f"{options.cells[0]}, infilling, no drawing from both sides": infill(both, sweeps=0),
        f"{options.cells[1]}, left to right": draft(left),
        f"{options.cells[1]}, beam of 64, rescored": rescore(left, 64),
        f"{options.cells[1]}, beam of {options.beam}, rescored": rescore(left, options.beam),
    }
    print("| Method | Gap | Exact | Characters | Milliseconds a gap |\n| --- | --- | --- | --- | --- |")
    for length in options.lengths:
        places = np.random.default_rng([options.seed, length]).integers(
            cut + CONTEXT, len(text) - CONTEXT - length, options.gaps
        )
        for name, method in methods.items():
            exact, characters, seconds = measure(method, text, length, places)
            print(f"| {name} | {length} | {exact:.1%} | {characters:.1%} | {seconds * 1000:.0f} |", flush=True)


if __name__ == "__main__":
    main()
