"""Damages copies of a run at random and loads them: each gives the same content or a clear refusal.

python tests/faults/damage.py --copies 2000
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import seqlm_core as seqlm
from seqlm_core.runs.opening import open_run
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.sequences.examples import read_examples

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
SECONDS = 10


def flip_bits(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 1, 1, 10, 1000])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def cut(data: bytearray, chance: random.Random) -> bytes:
    return bytes(data[: chance.randrange(len(data))])


def zero_a_block(data: bytearray, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    length = min(chance.choice([1, 16, 512, 4096]), len(data) - start)
    return bytes(data[:start]) + bytes(length) + bytes(data[start + length :])


def append(data: bytearray, chance: random.Random) -> bytes:
    return bytes(data) + chance.randbytes(chance.randrange(1, 2000))


def replace_all(data: bytearray, chance: random.Random) -> bytes:
    return chance.choice([b"", b"{}", b"[]", b"null", b"\x80\x04K\x01.", chance.randbytes(len(data)), b"[" * 100_000])


def huge_header(data: bytearray, chance: random.Random) -> bytes:
    length = chance.choice([2**63 - 1, 2**64 - 1, 2**40, 2**31, len(data), 0, 1])
    return struct.pack("<Q", length) + bytes(data[8:])


def edit_text(data: bytearray, chance: random.Random) -> bytes:
    """Change something in JSON, also in the header of a safetensors file, with its length mended."""
    changes = [
        (b"model/", b"../../x/"), (b"1", b"2"), (b"0", b"9"), (b'"', b"'"), (b"a", b"e"), (b"F32", b"F64"),
        (b"gru", b"rnn"), (b": ", b": 1e400"), (b"true", b"null"), (b'"format"', b'"was"'), (b"/", b"/../"),
    ]  # fmt: skip
    old, new = chance.choice(changes)
    if data[:1] != b"{" and data[8:9] == b"{":
        length = struct.unpack("<Q", data[:8])[0]
        header = bytes(data[8 : 8 + length]).replace(old, new, chance.choice([1, -1]))
        return struct.pack("<Q", len(header)) + header + bytes(data[8 + length :])
    return bytes(data).replace(old, new, chance.choice([1, -1]))


DAMAGES = [flip_bits, cut, zero_a_block, append, replace_all, huge_header, edit_text]


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.data).hexdigest()


def contents(path: Path) -> dict[str, Any]:
    run = open_run(path)
    best, _ = run.directory.load(run.directory.best)
    last, state = run.directory.load(run.directory.last)
    found = {
        "config": run.config,
        "best": {name: digest(array) for name, array in best.items()},
        "last": {name: digest(array) for name, array in last.items()},
        "state": state,
        "history": run.history(),
    }
    if isinstance(run, seqlm.LanguageRun):
        return {**found, "vocabulary": run.vocabulary.to_json(), "sample": run.sample("The ", length=5, seed=1)}
    texts = TrainingFiles.of_run(run.directory, run.config["texts"])
    examples = [read_examples(path, "tokens", "labels") for path in texts.training + texts.validation]
    return {**found, "encoders": run.codecs.to_json(), "examples": examples, "labels": run.predict([["The", "king"]])}


def train_language_model(out: Path, **settings: Any) -> None:
    seqlm.train(TEXT, out=out, cell="gru", sequence_length=10, quiet=True, **settings)


def train_tagger(out: Path, **settings: Any) -> None:
    """Train to label each word with its last character."""
    words = [line.split() for line in TEXT.read_text()[:9000].splitlines() if line]
    model = seqlm.SequenceModel(char_cell="gru", char_hidden_size=4, **settings)
    model.train([(line, [word[-1] for word in line]) for line in words], out=out, quiet=True)


def damage(copy: Path, others: list[Path], chance: random.Random) -> str:
    """Damage one file of the run, or swap it with another, or leave a link in its place; return what was done."""
    files = sorted(path.name for path in copy.iterdir() if path.name != "loss.png")
    name = chance.choice(files)
    what = chance.randrange(10)
    if what == 0:
        source = chance.choice([*(other / name for other in others), copy / chance.choice(files)])
        (copy / name).write_bytes(source.read_bytes())
        return f"{name} swapped with {source.parent.name}/{source.name}"
    if what == 1:
        (copy / name).rename(copy / "elsewhere")
        if chance.random() < 0.7:
            (copy / name).symlink_to(chance.choice([copy / "elsewhere", others[0] / name, Path("/dev/zero")]))
            return f"{name} made a link"
        return f"{name} removed"
    function = chance.choice(DAMAGES)
    (copy / name).write_bytes(function(bytearray((copy / name).read_bytes()), chance))
    return f"{name} {function.__name__}"


def too_slow(number: int, frame: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=2000)
    parser.add_argument("--hidden-size", type=int, default=12, help="units of the run, for larger files")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="seqlm-damage-") as folder:
        small = {"hidden_size": given.hidden_size, "batch_size": 8, "max_steps": 60, "log_every": 20}
        runs = []
        for train in (train_language_model, train_tagger):
            names = ("good", "other-vocabulary", "other-seed", "twin")
            good, *others = (Path(folder) / train.__name__ / name for name in names)
            for out, changes in zip((good, *others), ({}, {"seed": 2, "max_vocabulary": 30}, {"seed": 2}, {})):
                train(out, **small, **changes)
            runs.append((good, others, contents(good)))
        largest = max(path.stat().st_size for path in Path(folder).rglob("*"))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        signal.signal(signal.SIGALRM, too_slow)
        for number in range(given.copies):
            good, others, expected = runs[number % len(runs)]
            copy = Path(folder) / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(good, copy)
            done = damage(copy, others, chance)
            signal.alarm(SECONDS)
            try:
                found = contents(copy)
            except seqlm.RunError as error:
                counts["refused" if len(str(error)) < 600 else "refused at length"] += 1
            else:
                assert json.dumps(found, default=repr) == json.dumps(expected, default=repr), f"loaded altered: {done}"
                counts["the same"] += 1
            finally:
                signal.alarm(0)
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
    print(f"{given.copies} damaged copies: {dict(counts)}, none loaded altered, no crash")
    print(f"memory grew by {grown:,} bytes at most; the largest file has {largest:,}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
