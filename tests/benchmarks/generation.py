"""Characters generated per second, beside PyTorch: an LSTM of 100 units and one layer over a vocabulary of 75.

python tests/benchmarks/generation.py

PyTorch has to be installed. Every way to generate has the same weights, draws from the same distribution, and ends with
the text. Whatever is compared is timed in turns, several times over; the table gives medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from random_model import RandomModel, vocabulary_of

import seqlm_core as seqlm
from seqlm_core.generation.prompts import Prompt
from seqlm_core.generation.text_generator import TextGenerator
from seqlm_core.native.generation import generation_library
from seqlm_core.settings.decoding_rules import DecodingRules

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
VOCABULARY = vocabulary_of(75)
MODEL = RandomModel("lstm", units=100, vocabulary_size=75, embedding_size=75)
UNK, FIRST = 0, 1  # <unk> is never drawn; every text goes on from this token

Generate = Callable[[int, int], "list[str]"]


class Characters:
    """Joins characters."""

    def detokenize(self, tokens: list[str]) -> str:
        return "".join(tokens)


def with_seqlm(network: object) -> Generate:
    """Return the function of a number of texts and a length that generates with seqlm."""
    generator = TextGenerator(network, VOCABULARY, Characters())
    rules = DecodingRules(temperature=1.0)

    def generate(count: int, length: int) -> list[str]:
        texts = generator.sample(Prompt(ids=(FIRST,)), count, length, rules, seed=1)
        return ["".join(piece.text for piece in pieces) for pieces in texts]

    return generate


class TorchModel(torch.nn.Module):
    """The same model in PyTorch.

    Args:
        recurrent: ``torch.nn.LSTMCell``, or ``torch.nn.LSTM`` of one layer.
        threads: that PyTorch may use.
    """

    def __init__(self, recurrent: type[torch.nn.Module], threads: int) -> None:
        super().__init__()
        self.threads = threads
        self.embedding = torch.nn.Embedding(75, 75)
        self.recurrent = recurrent(75, 100)
        self.output = torch.nn.Linear(100, 75)
        suffix = "" if recurrent is torch.nn.LSTMCell else "_l0"
        pairs = {
            self.embedding.weight: "input.weight",
            self.output.weight: "head.weight",
            self.output.bias: "head.bias",
            getattr(self.recurrent, f"weight_ih{suffix}"): "forward_stack.0.i2h_weight",
            getattr(self.recurrent, f"weight_hh{suffix}"): "forward_stack.0.h2h_weight",
            getattr(self.recurrent, f"bias_ih{suffix}"): "forward_stack.0.i2h_bias",
            getattr(self.recurrent, f"bias_hh{suffix}"): "forward_stack.0.h2h_bias",
        }
        for parameter, name in pairs.items():
            parameter.data = torch.tensor(MODEL.weights[name])
        self.output.bias.data[UNK] = -torch.inf

    @torch.inference_mode()
    def read(self, tokens: torch.Tensor, states: object) -> tuple[torch.Tensor, object]:
        """Return scores of the next tokens, and the states."""
        if isinstance(self.recurrent, torch.nn.LSTMCell):
            states = self.recurrent(self.embedding(tokens), states)
            return self.output(states[0]), states
        outputs, states = self.recurrent(self.embedding(tokens)[None], states)
        return self.output(outputs[0]), states

    @torch.inference_mode()
    def __call__(self, count: int, length: int) -> list[str]:
        torch.set_num_threads(self.threads)
        torch.manual_seed(1)
        tokens, states = torch.full((count,), FIRST), None
        drawn = torch.empty((length, count), dtype=torch.int64)
        for position in range(length):
            scores, states = self.read(tokens, states)
            # Gumbel's way to draw by probability, which is faster here than torch.multinomial.
            tokens = (scores - torch.empty_like(scores).exponential_().log_()).argmax(dim=1)
            drawn[position] = tokens
        return ["".join([VOCABULARY.tokens[token] for token in text]) for text in drawn.T.tolist()]


def check_that_all_predict_alike(tokens: int = 50) -> None:
    """Raise unless PyTorch and seqlm give the same log-probabilities."""
    network = MODEL.step_network()
    models = [TorchModel(recurrent, 1) for recurrent in (torch.nn.LSTMCell, torch.nn.LSTM)]
    states, torch_states = network.begin(1), [None, None]
    for token in np.random.default_rng(1).integers(1, 75, tokens):
        hidden, states = network.read(np.array([token]), states)
        expected = network.log_probabilities(hidden)[0, 1:]
        expected -= np.log(np.exp(expected).sum())
        for k, model in enumerate(models):
            scores, torch_states[k] = model.read(torch.tensor([token]), torch_states[k])
            found = torch.log_softmax(scores, dim=1)[0, 1:].numpy()
            np.testing.assert_allclose(found, expected, atol=1e-5)


def speeds_in_turns(ways: dict[str, Generate], count: int, rounds: int, seconds: float = 0.2) -> dict[str, list[float]]:
    """Return characters per second of each way in each round, of texts so long that they take about ``seconds``."""

    def speed(generate: Generate, length: int) -> float:
        began = time.perf_counter()
        characters = sum(map(len, generate(count, length)))
        return characters / (time.perf_counter() - began)

    lengths = {}
    for name, generate in ways.items():
        generate(count, 10)
        lengths[name] = max(10, int(seconds * speed(generate, 40) / count))
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, generate in ways.items():
            speeds[name].append(speed(generate, lengths[name]))
    return speeds


def print_speeds(count: int, rounds: int) -> None:
    """Print a table of all ways to generate ``count`` texts at a time."""
    ways: dict[str, Generate] = {
        "seqlm, native": with_seqlm(MODEL.native_network()),
        "seqlm, NumPy": with_seqlm(MODEL.step_network()),
        "PyTorch, LSTMCell, 1 thread": TorchModel(torch.nn.LSTMCell, 1),
        "PyTorch, LSTMCell, 2 threads": TorchModel(torch.nn.LSTMCell, 2),
        "PyTorch, LSTM, 1 thread": TorchModel(torch.nn.LSTM, 1),
        "PyTorch, LSTM, 2 threads": TorchModel(torch.nn.LSTM, 2),
    }
    speeds = speeds_in_turns(ways, count, rounds)
    best_cell = max((found for name, found in speeds.items() if "LSTMCell" in name), key=statistics.median)
    print(f"\n| {count} text{'s' * (count > 1)} at a time | characters per second | times LSTMCell |")
    print("| --- | --- | --- |")
    for name, found in speeds.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(found, best_cell))
        print(f"| {name} | {statistics.median(found):,.0f} | {ratio:.2g} |")


def print_starts(rounds: int) -> None:
    """Print a table of the time from the start of a process to its first character."""
    with tempfile.TemporaryDirectory() as folder:
        run = seqlm.train(TEXT, cell="lstm", hidden_size=100, max_steps=1, quiet=True, out=Path(folder) / "run")
        sample = [sys.executable, "-m", "seqlm_core.command_line.main", "sample", str(run.path), "--length", "1"]
        commands = {
            "seqlm sample, native": (sample, "1"),
            "seqlm sample, NumPy": (sample, "0"),
            "`import torch` alone": ([sys.executable, "-c", "import torch"], "1"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, (command, native) in commands.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, env={**os.environ, "SEQLM_NATIVE": native})
                seconds[name].append(time.perf_counter() - began)
    print("\n| from process start to the first character | seconds |\n| --- | --- |")
    for name, found in seconds.items():
        print(f"| {name} | {statistics.median(found):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="How often each is timed (default: 9).")
    given = parser.parse_args()
    if generation_library() is None:
        sys.exit("The native library is not there; install seqlm where a C++ compiler is.")
    check_that_all_predict_alike()
    for count in (1, 64):
        print_speeds(count, given.rounds)
    print_starts(given.rounds)


if __name__ == "__main__":
    main()
