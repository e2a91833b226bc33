"""How long taggers read a batch by the graphs of MXNet, and by steps in NumPy; and how long the import of MXNet takes.

OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python tests/benchmarks/without_mxnet.py

Both read the same batch with the same random weights; times are of the processor, the best of several. The first
reading by a graph includes making it, which happens once for each shape of a batch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import mx
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.model.build import build_sequence_network, weights_of
from seqlm_core.model.graph_batches import GraphBatches
from seqlm_core.model.initialization import initialize
from seqlm_core.plugins.components import Components
from seqlm_core.sequences.batches import Batch
from seqlm_core.sequences.encoded_sequences import LONGEST_SPELLING
from seqlm_core.stepwise.batches import StepBatches

VOCABULARY, CHARACTERS, LABELS = 5000, 80, 9
ROWS: list[tuple[dict[str, Any], int, int]] = [
    ({"cell": "bilstm", "hidden_size": 100}, 30, 32),
    ({"cell": "bilstm", "hidden_size": 100, "char_cell": "bilstm", "char_hidden_size": 25}, 30, 32),
    ({"cell": "bilstm", "hidden_size": 256, "layers": 2}, 30, 32),
    ({"cell": "bigru", "hidden_size": 100}, 30, 32),
    ({"cell": "bilstm", "hidden_size": 100}, 20, 1),
]
IMPORT = "import time; t = time.process_time(); import seqlm_core.engine.mxnet; print(time.process_time() - t)"


def networks(settings: dict[str, Any]) -> tuple[GraphBatches, StepBatches]:
    """Return the same model twice."""
    wanted = seqlm.SequenceSettings(embedding_size=100, **settings)
    components = Components.choose(wanted, seqlm.installed_plugins())
    architecture = SequenceArchitecture.choose(
        wanted,
        inputs="tokens",
        outputs="labels",
        input_size=VOCABULARY,
        output_size=LABELS,
        bidirectional=components.cell.spec.bidirectional,
        characters=CHARACTERS if components.char_cell else 0,
        char_bidirectional=components.char_cell is not None and components.char_cell.spec.bidirectional,
    )
    network = build_sequence_network(architecture, components.cell, components.char_cell)
    initialize(network, 1, mx.cpu())
    steps = StepBatches(architecture, components.cell, components.char_cell, weights_of(network))
    return GraphBatches(network), steps


def batch_of(time_steps: int, columns: int, has_characters: bool) -> Batch:
    random = np.random.default_rng(0)
    inputs = [random.integers(0, VOCABULARY, (time_steps, columns)).astype(np.int32)]
    if has_characters:
        inputs.append(random.integers(0, CHARACTERS, (time_steps, columns, LONGEST_SPELLING)).astype(np.int32))
        inputs.append(random.integers(1, LONGEST_SPELLING + 1, (time_steps, columns)).astype(np.int32))
    lengths = random.integers(time_steps // 2, time_steps + 1, columns).astype(np.int32)
    return Batch(np.arange(columns), inputs, lengths, None, None)


def seconds(function: Callable[[], Any]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    done = [subprocess.run([sys.executable, "-c", IMPORT], stdout=subprocess.PIPE, check=True) for _ in range(3)]
    print(f"import of MXNet: {min(float(process.stdout) for process in done):.2f} s")
    print("| model | time steps | sequences | first graph | graph | steps | largest difference |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for settings, time_steps, columns in ROWS:
        batch = batch_of(time_steps, columns, "char_cell" in settings)
        found: list[np.ndarray] = []
        taken: list[float] = []
        for network in networks(settings):
            with network.computing():
                outputs: Callable[..., Any] = network.outputs
                taken.append(seconds(lambda: found.append(outputs(batch))))  # noqa: B023, called at once
                taken.append(min(seconds(lambda: outputs(batch)) for _ in range(repeats)))  # noqa: B023
        counts = np.arange(time_steps)[:, None] < batch.lengths
        difference = float(np.abs(found[0] - found[1])[counts].max())
        model = ", ".join(f"{name} {value}" for name, value in settings.items())
        first, graph, _, steps = (f"{1000 * each:.1f} ms" for each in taken)
        print(f"| {model} | {time_steps} | {columns} | {first} | {graph} | {steps} | {difference:.0e} |", flush=True)


if __name__ == "__main__":
    main()
