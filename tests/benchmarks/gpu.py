"""Trainings on a GPU beside the same ones on the processor: whether they are the same, and how fast they are.

python tests/benchmarks/gpu.py

It needs an NVIDIA GPU and a CUDA build of MXNet (see docs/gpu.md), and takes some ten minutes. It prints two tables and
exits with 0 if all trainings are the same to rounding:

- for each kind of model, the largest difference between the losses of the GPU and those of the processor, step by step,
  of a training on the GPU, of one that begins there and is resumed on the processor, and of the reverse;
- for each cell and size, the milliseconds of a step on the processor and on the GPU.

Without a GPU it says so and exits with 1. --context 'cpu(1)' has MXNet's second context of the processor in the place
of the GPU, which tries the script and every path of the GPU but its own operators; the speeds mean nothing then.

MXNet rounds the factors of products on GPUs since the A100 to 10 bits (TF32). For the comparison this is switched off;
--tf32 leaves it on, and then the losses differ by more.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

PROJECT = Path(__file__).resolve().parents[2]
TEXT = PROJECT / "data" / "input.txt"
TOLERANCE, TOLERANCE_OF_TF32 = 1e-3, 3e-2
"""The largest difference of two losses, relative to the loss."""
STEPS_BEFORE = 5  # which are not timed
LABELS = 5

LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "gru, all kinds of dropout": {
        "cell": "gru", "layers": 2, "embedding_size": 64, "embedding_dropout": 0.1, "input_dropout": 0.1,
        "layer_dropout": 0.2, "output_dropout": 0.3, "recurrent_dropout": 0.2,
    },
    "lstm, averaged": {"cell": "lstm", "dropout": 0.3, "average": "ema"},
    "bilstm, documents": {"cell": "bilstm", "documents": "line"},
    "bigru, read rows": {"cell": "bigru", "embedding_size": 64, "embedding_updates": "read"},
    "lstm over words, adaptive softmax": {
        "cell": "lstm", "tokenizer": "word", "output_layer": "adaptive", "embedding_size": 64, "min_count": 1,
    },
}  # fmt: skip
SEQUENCE_MODELS: dict[str, dict[str, Any]] = {
    "tagger with a chain of labels, reads characters": {
        "cell": "bilstm", "char_cell": "bigru", "output_layer": "crf", "hidden_size": 64,
    },
}  # fmt: skip


def language_model(out: Path, extensions: list[Any], **settings: Any) -> Any:
    """Train a language model on the sample text."""
    import seqlm_core as seqlm

    fixed = {"batch_size": 32, "sequence_length": 50, "epochs": 1000, "sample_every": 0, "schedule": "constant"}
    return seqlm.train(
        TEXT, out=out, quiet=True, extensions=extensions, validation_fraction=0.0, **{**fixed, **settings}
    )


def tagger(out: Path, extensions: list[Any], **settings: Any) -> Any:
    """Train a tagger that labels words by their lengths."""
    import seqlm_core as seqlm

    lines = [line.split() for line in TEXT.read_text(encoding="utf-8").splitlines() if line.strip()][:400]
    examples = [(words, [str(min(len(word), LABELS)) for word in words]) for words in lines]
    model = seqlm.SequenceModel("tokens", "labels", epochs=1000, schedule="constant", batch_size=16, **settings)
    return model.train(examples, out=out, quiet=True, extensions=extensions, validation=None)


def losses_of(run: Any) -> list[float]:
    """Return the loss of each step of a run that reports each."""
    reports = [record for record in run.history() if record["kind"] == "report"]
    (name,) = {key for record in reports for key in record if key.startswith("training_")}
    return [record[name] for record in reports]


def largest_difference(losses: list[float], expected: list[float]) -> float:
    """Return the largest difference of two losses of the same step, relative to the second one."""
    if len(losses) != len(expected):
        raise ValueError(f"{len(losses)} steps, and {len(expected)} were expected")
    return max(abs(one - other) / abs(other) for one, other in zip(losses, expected))


def compare(train: Callable[..., Any], settings: dict[str, Any], steps: int, folder: Path) -> list[float]:
    """Return the differences of the three trainings that a GPU takes part in to that of the processor alone."""
    import seqlm_core as seqlm

    settings = {**settings, "log_every": 1}
    expected = losses_of(train(folder / "cpu", [], device="cpu", max_steps=steps, **settings))
    found = [losses_of(train(folder / "gpu", [], device="gpu", max_steps=steps, **settings))]
    for first, then in (("gpu", "cpu"), ("cpu", "gpu")):
        begun = train(folder / f"{first}, then {then}", [], device=first, max_steps=steps // 2, **settings)
        found.append(losses_of(seqlm.resume(begun.path, device=then, max_steps=steps, quiet=True)))
    return [largest_difference(losses, expected) for losses in found]


def milliseconds(device: str, steps: int, out: Path, **settings: Any) -> float:
    """Return the time of a step of a language model."""
    import seqlm_core as seqlm
    from seqlm_core.mxnet import nd

    class Clock(seqlm.Extension):
        began = took = 0.0

        def on_step_end(self, training: Any) -> None:
            if training.step in (STEPS_BEFORE, STEPS_BEFORE + steps):
                nd.waitall()
                self.began, self.took = time.perf_counter(), time.perf_counter() - self.began

    clock = Clock()
    language_model(out, [clock], device=device, log_every=0, max_steps=STEPS_BEFORE + steps, **settings)
    return 1000 * clock.took / steps


def print_row(*cells: Any) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def compare_all(kinds: list[str], steps: int, tolerance: float, folder: Path) -> bool:
    """Print the first table, and return whether all differences are within the tolerance."""
    print(f"\nLargest relative difference of a loss in {steps} steps; {tolerance:g} is allowed.\n")
    print_row("model", "GPU", "GPU, then CPU", "CPU, then GPU", "")
    print_row("---", "---:", "---:", "---:", "---")
    fine = True
    for number, kind in enumerate(kinds):
        train = language_model if kind in LANGUAGE_MODELS else tagger
        differences = compare(train, {**LANGUAGE_MODELS, **SEQUENCE_MODELS}[kind], steps, folder / str(number))
        same = max(differences) <= tolerance
        fine = fine and same
        print_row(kind, *(f"{difference:.1g}" for difference in differences), "" if same else "TOO MUCH")
    return fine


def measure_all(cells: list[str], units: list[int], steps: int, folder: Path) -> None:
    """Print the second table."""
    print(f"\nMilliseconds of a step with 32 x 50 tokens, mean of {steps} steps.\n")
    print_row("cell", "units", "CPU", "GPU", "times as fast")
    print_row("---", "---:", "---:", "---:", "---:")
    for cell in cells:
        for size in units:
            times = [
                milliseconds(device, steps, folder / f"{cell} {size} {device}", cell=cell, hidden_size=size)
                for device in ("cpu", "gpu")
            ]
            print_row(cell, size, *(f"{value:.2f}" for value in times), f"{times[0] / times[1]:.1f}")


def name_of_gpu() -> str:
    """Return what NVIDIA's driver says of the GPUs: name, driver and compute capability."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    try:
        return "; ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())
    except (OSError, subprocess.CalledProcessError):
        return "a GPU that nvidia-smi does not show"


def in_place_of_a_gpu(context: str) -> contextlib.AbstractContextManager[Any]:
    """Return the block in which a context of the processor is taken for a GPU; for the context ``gpu`` nothing is."""
    if context == "gpu":
        return contextlib.nullcontext()
    if not re.fullmatch(r"cpu\([1-9]\)", context):
        sys.exit(f"--context is gpu, or cpu(1), not {context}")
    sys.path.insert(0, str(PROJECT / "tests"))
    from fake_gpu import fake_gpus

    return fake_gpus()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--context", default="gpu", help="gpu, or cpu(1) to try the script. Default: gpu.")
    parser.add_argument("--kinds", nargs="*", default=[*LANGUAGE_MODELS, *SEQUENCE_MODELS], metavar="KIND")
    parser.add_argument("--cells", nargs="*", default=["rnn", "gru", "lstm", "bilstm"], help="To be timed.")
    parser.add_argument("--units", nargs="+", type=int, default=[128, 512, 1024], help="Default: 128 512 1024.")
    parser.add_argument("--steps", type=int, default=30, help="Of each training. Default: 30.")
    parser.add_argument("--tf32", action="store_true", help="Let the GPU round factors, as it does for users.")
    given = parser.parse_args()
    if not given.tf32:
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    with tempfile.TemporaryDirectory() as folder, in_place_of_a_gpu(given.context):
        import seqlm_core as seqlm
        from seqlm_core.engine.devices import compute_device

        try:
            device = compute_device("gpu")
        except seqlm.SeqlmError as error:
            print(f"there is no GPU to try: {error}", file=sys.stderr)
            return 1
        print(f"{name_of_gpu()} as {device}; the processor has {os.environ['OMP_NUM_THREADS']} threads")
        tolerance = TOLERANCE_OF_TF32 if given.tf32 else TOLERANCE
        fine = compare_all(given.kinds, given.steps, tolerance, Path(folder, "compared"))
        if given.cells:
            measure_all(given.cells, given.units, given.steps, Path(folder, "timed"))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
