"""Writes a run of each kind with the present version of seqlm, for the tests that load the runs of every version.

python tests/formats/make.py NAME

Whoever changes the format of a run adds a folder tests/formats/runs/NAME with it; NAME is a number that puts the folder
last, and what the change brought. The older folders stay as they are, for ever: the code of their versions wrote them,
with this program as far as it could run there. Until a version is released, its own folder may be made again.

Each kind of run, but for those that are compressed, has a folder with

    run/                   a run that was interrupted, with the text or the examples that it is trained on
    finished.safetensors   the weights that the same training ended with when nothing interrupted it
    expected.json          what the version that wrote the run made of it, before and at its end, and the figures of the
                           training; and the processor and the compiler, on which the bits of all that depend

Each compressed kind has a folder with ``run/`` and ``expected.json``, which has what the version made of it.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from safetensors.numpy import load_file, save_file

import seqlm_core as seqlm
from seqlm_core.native import training as native_training
from seqlm_core.runs.opening import open_run
from seqlm_core.training.extensions.history import History

HERE = Path(__file__).resolve().parent
RUNS = HERE / "runs"
PLUGIN = HERE / "letter_pairs.py"
TEXT = (HERE / "text.txt").read_text()
READ = slice(3200, 3600)
"""The part of the text on which no run is trained."""
PLUGIN_WHEN_MADE = Path("/tmp/seqlm-formats", PLUGIN.name)
VECTORS_WHEN_MADE = PLUGIN_WHEN_MADE.with_name("vectors.txt")
WHOLE_WHEN_MADE = PLUGIN_WHEN_MADE.with_name("run")
"""The paths that runs record, which are to tell nothing of the machine."""

SMALL: dict[str, Any] = {"hidden_size": 8, "batch_size": 4, "warmup": 5, "log_every": 5, "learning_rate": 0.03}
WINDOWS: dict[str, Any] = {**SMALL, "sequence_length": 10, "epochs": 2, "sample_every": 0, "quiet": True}
PLAIN: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.5, "epochs": 3, "validation_fraction": 0.0}
STEP = 40
"""When the runs are interrupted, or a few steps later: within an epoch."""


def train_text(out: Path, characters: int, **settings: Any) -> None:
    """Train on the beginning of the text, given on standard input: so the run keeps it."""
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(TEXT[:characters].encode()))
    try:
        seqlm.train("-", out=out, **{**WINDOWS, **settings})
    finally:
        sys.stdin = before


def train_letter_pairs(out: Path) -> None:
    PLUGIN_WHEN_MADE.parent.mkdir(exist_ok=True)
    shutil.copy(PLUGIN, PLUGIN_WHEN_MADE)
    seqlm.load_plugin(PLUGIN_WHEN_MADE)
    train_text(out, 1400, cell="gru", tokenizer="letter-pairs", optimizer="rmsprop")


def train_tagger(out: Path) -> None:
    """Train on short sentences, whose words are labelled by their last letter."""
    sentences = [sentence.split()[:4] for sentence in TEXT[:2000].split(".")]
    examples = [(words, [label_of(word) for word in words]) for words in sentences if words][:20]
    settings = {**SMALL, "hidden_size": 4, "batch_size": 2, "epochs": 6, "dropout": 0.1, "optimizer": "rmsprop"}
    model = seqlm.SequenceModel(cell="bilstm", char_cell="gru", char_hidden_size=4, min_count=1, **settings)
    model.train(examples[:18], examples[18:], out=out, quiet=True)


def train_columns(out: Path) -> None:
    """Train on short sentences whose words have lengths and vectors, and begin with ``B-`` where they begin a chunk."""
    sentences = [sentence.split()[:4] for sentence in TEXT[:2000].split(".")]
    examples = [(with_lengths(words), chunks_of(words)) for words in sentences if words][:20]
    settings = {**SMALL, "hidden_size": 4, "batch_size": 2, "epochs": 6, "dropout": 0.1, "output_layer": "crf"}
    model = seqlm.SequenceModel(shapes=True, lowercase=True, column_embedding_size=3, tune_vectors=True, **settings)
    words = sorted({word.lower() for word in TEXT.split()})
    VECTORS_WHEN_MADE.parent.mkdir(exist_ok=True)
    VECTORS_WHEN_MADE.write_text(
        "".join(f"{word} {len(word)} {ord(word[0]) % 7} {i % 5}\n" for i, word in enumerate(words))
    )
    model.train(examples[:18], examples[18:], out=out, quiet=True, vectors=VECTORS_WHEN_MADE)


def with_lengths(words: list[str]) -> list[tuple[str, str]]:
    return [(word, str(len(word))) for word in words]


def chunks_of(words: list[str]) -> list[str]:
    return ["B-X" if word[-1] in "aeiou" else "I-X" if len(word) > 4 else "O" for word in words]


def label_of(word: str) -> str:
    return "vowel" if word[-1] in "aeiou" else "consonant" if word[-1].isalpha() else "sign"


def train_forecaster(out: Path) -> None:
    """Train to forecast the next value of sine waves."""
    examples = [(wave(shift, 16)[:-1], wave(shift, 16)[1:]) for shift in range(10)]
    settings = {**SMALL, "batch_size": 1, "epochs": 6, "optimizer": "sgd", "learning_rate": 0.3}
    seqlm.SequenceModel("values", "values", cell="lstm", **settings).train(
        examples[:9], examples[9:], out=out, quiet=True
    )


def wave(shift: int, steps: int) -> list[list[float]]:
    return [[round(math.sin(step / 3 + shift), 3)] for step in range(steps)]


KINDS: dict[str, Callable[[Path], None]] = {
    "characters": lambda out: train_text(out, 1200, cell="lstm", embedding_size=6, dropout=0.1),
    "two-directions": lambda out: train_text(out, 1200, cell="bigru", dropout=0.1, optimizer="rmsprop"),
    "words": lambda out: train_text(
        out, 3200, cell="lstm", tokenizer="word", max_vocabulary=50, tie_weights=True, **PLAIN
    ),
    "letter-pairs": train_letter_pairs,
    "tagger": train_tagger,
    "columns": train_columns,
    "forecaster": train_forecaster,
    "lines": lambda out: train_text(
        out, 1200, cell="gru", documents="line", hidden_size=[8, 6], layers=2, embedding_size=5, tie_weights=True,
        input_dropout=0.1, embedding_dropout=0.1, recurrent_dropout=0.2, weight_decay=0.01, average="ema",
        sample_every=7,
    ),
    "rare-words": lambda out: train_text(
        out, 3200, cell="lstm", tokenizer="word", output_layer="adaptive", embedding_size=6,
        embedding_updates="read", **PLAIN
    ),
}  # fmt: skip
COMPRESSED = {"compressed": "two-directions", "compressed-tagger": "tagger"}
"""The kinds of compressed runs, and the kind that each of them is made of."""
BEGAN_WITH = {"lines": 4, "rare-words": 4, "columns": 4, "compressed": 4, "compressed-tagger": 4}
"""The number of the first folder with a kind, if it is not the first of all."""


def kinds_in(folder: Path) -> list[str]:
    """Return the kinds of runs in a folder of a version that can go on."""
    return [kind for kind in KINDS if _number(folder) >= BEGAN_WITH.get(kind, 0)]


def compressed_in(folder: Path) -> list[str]:
    """Return the kinds of compressed runs in a folder of a version."""
    return [kind for kind in COMPRESSED if _number(folder) >= BEGAN_WITH[kind]]


def _number(folder: Path) -> int:
    return int(folder.name.split("-")[0])


class Interrupted:
    """While it is entered, a training gets Ctrl-C when it reports on :data:`STEP`."""

    def __enter__(self) -> None:
        self._original = original = History.on_report

        def on_report(history: History, training: Any, record: dict[str, Any]) -> None:
            original(history, training, record)
            if record["step"] == STEP:
                signal.raise_signal(signal.SIGINT)

        History.on_report = on_report  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        History.on_report = self._original  # type: ignore[method-assign]


def train_interrupted(kind: str, out: Path) -> None:
    """Train a run of a kind, and interrupt it."""
    try:
        with Interrupted():
            KINDS[kind](out)
    except seqlm.TrainingInterrupted:
        (out / "loss.png").unlink(missing_ok=True)  # larger than all else, and drawn anew
    else:
        sys.exit(f"{kind} has no more than {STEP} steps")


def use(kind: str, run: Any) -> dict[str, Any]:
    """Return what a run makes: text and figures, or predictions."""
    kind = COMPRESSED.get(kind, kind)
    if kind in ("tagger", "columns"):
        sentences: list[Any] = [["the", "bridge", "was", "built,"], ["salt"]]
        if kind == "columns":
            sentences = list(map(with_lengths, sentences))
        return {
            "labels": run.predict(sentences),
            "probabilities": [array.tolist() for array in run.probabilities(sentences)],
        }
    if kind == "forecaster":
        return {"values": [array.tolist() for array in run.predict([wave(5, 7), wave(2, 3)])]}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text(TEXT[READ])
        return {
            "sample": run.sample("The", length=40, seed=3),
            "most probable": run.sample("The", length=40, temperature=0),
            "nats per token": [found.nats_per_token for found in run.evaluate(text)],
            "bits per line": [line.bits for line in run.score(text)],
        }


def figures(run: Any) -> list[dict[str, Any]]:
    """Return the history without what depends on the clock."""
    return [{key: value for key, value in record.items() if key != "seconds"} for record in run.history()]


def has_a_say_in_bits() -> dict[str, str]:
    """Return what the bits of a training depend on, beside the backend and the threads that a run records."""
    return {"processor": processor(), "compiler": compiler()}


def processor() -> str:
    """Return maker, family, model and vector instructions, by which MXNet's operators choose how they compute."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = [re.search(rf"^{name}\s*: (.*)$", described, re.MULTILINE) for name in ("vendor_id", "cpu family", "model")]
    flags = re.search(r"^flags\s*: (.*)$", described, re.MULTILINE)
    vectors = [name for name in ("avx2", "avx512f") if flags and name in flags[1].split()]
    return " ".join([*(match[1] if match else "?" for match in found), *vectors])


def compiler() -> str:
    """Return what compiled the native kernels, which the library tells; nothing where there is none."""
    library = native_training.LIBRARY
    told = re.search(rb"(GCC: |clang version )[\x20-\x7e]+", library.read_bytes()) if library.exists() else None
    return told[0].decode() if told else ""


def make(kind: str, folder: Path) -> None:
    """Write the folder of a kind."""
    folder.mkdir(parents=True)
    train_interrupted(kind, folder / "run")
    expected = {"bits": has_a_say_in_bits(), "interrupted": use(kind, open_run(folder / "run"))}
    with tempfile.TemporaryDirectory() as name:
        twin = Path(name) / "run"
        KINDS[kind](twin)
        save_file(final_weights(twin), folder / "finished.safetensors")
        expected["finished"] = {**use(kind, open_run(twin)), "history": figures(open_run(twin))}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def compress(kind: str, out: Path, whole: Path) -> None:
    """Write a compressed run of a kind, made of a run that is trained in ``whole``."""
    train_interrupted(COMPRESSED[kind], whole)
    open_run(whole).compress(out)


def make_compressed(kind: str, folder: Path) -> None:
    """Write the folder of a compressed kind."""
    folder.mkdir(parents=True)
    compress(kind, folder / "run", WHOLE_WHEN_MADE)
    shutil.rmtree(WHOLE_WHEN_MADE)
    expected = {"bits": has_a_say_in_bits(), "compressed": use(kind, open_run(folder / "run"))}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def final_weights(run: Path) -> dict[str, np.ndarray]:
    """Return the weights after a run's last step."""
    return {name: array for name, array in load_file(run / "last.safetensors").items() if name.startswith("model/")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the folder, which must not be there")
    given = parser.parse_args()
    folder = RUNS / given.name
    if folder.exists():
        parser.error(f"{folder} is there, and stays as it is")
    for kind in kinds_in(folder):
        make(kind, folder / kind)
    for kind in compressed_in(folder):
        make_compressed(kind, folder / kind)


if __name__ == "__main__":
    main()
