"""Kills a training at random moments, again and again, and compares what it comes to with an undisturbed one.

With --overwrites it also kills trainings that replace a run: one of the two is left, whole.

python tests/faults/kill.py --kills 200 --overwrites 30
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import seqlm_core as seqlm
from seqlm_core.runs.opening import open_run
from seqlm_core.storage.checkpoint import load_checkpoint

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
TAGGER = "tagger"
KINDS = ["rnn", TAGGER, "gru", "lstm", "birnn", "bigru", "bilstm"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "seqlm_core.command_line.main", *arguments]


def write_texts(folder: Path) -> None:
    """Write a text, and columns: its words, each with its last character as the label."""
    text = TEXT.read_text()[:9000]
    (folder / "text.txt").write_text(text)
    rows = ["".join(f"{word} {word[-1]}\n" for word in line.split()) for line in text.splitlines()]
    (folder / "columns.txt").write_text("\n".join(rows))


def training(kind: str, folder: Path, out: Path) -> list[str]:
    options = "--hidden-size 12 --layers 2 --epochs 6 --checkpoint-every 1 --patience 4 --quiet"
    if kind == TAGGER:
        begin = f"tag train {folder}/columns.txt --char-cell gru --char-hidden-size 6 --batch-size 2"
    else:
        begin = f"train {folder}/text.txt --cell {kind} --sequence-length 10 --batch-size 8"
    return command(*begin.split(), "--out", str(out), *options.split())


def contents(out: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[dict]]:
    arrays = [load_checkpoint(out / f"{name}.safetensors")[0] for name in ("best", "last")]
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    return (
        arrays[0],
        arrays[1],
        [{k: v for k, v in record.items() if k not in ("seconds", "check")} for record in history],
    )


def differences(one: Path, other: Path) -> list[str]:
    """Return what is not the same in two runs: names of arrays, and lines of the history."""
    (best, last, history), (best2, last2, history2) = contents(one), contents(other)
    found = []
    for kind, mine, theirs in (("best", best, best2), ("last", last, last2)):
        names = sorted(set(mine) | set(theirs))
        found += [f"{kind} {name}" for name in names if not np.array_equal(mine.get(name), theirs.get(name))]
    if len(history) != len(history2):
        found.append(f"history of {len(history)} and of {len(history2)} lines")
    found += [f"history {mine} {theirs}" for mine, theirs in zip(history, history2) if mine != theirs]
    return found


def loads(out: Path) -> bool:
    """Whether everything that is in the directory of a killed run can be read."""
    if not (out / "config.json").exists():
        return True  # killed before there was a run
    run = open_run(out)
    if run.directory.last.exists():
        run.directory.load(run.directory.last)
        run.history()
        _ = run.sample(length=3) if isinstance(run, seqlm.LanguageRun) else run.predict([["the", "cat"]])
    return True


def overwrite(kills: int, folder: Path, chance: random.Random) -> None:
    """Kill trainings that replace a run: what is left is the old one, or the new one that can go on, and no more."""
    old, new, out = folder / "old", folder / "new", folder / "overwritten"
    left = {"old": 0, "new": 0}
    subprocess.run(training("gru", folder, old), check=True, stdout=subprocess.DEVNULL)
    again = [*training("gru", folder, new), "--seed", "2"]
    began = time.monotonic()
    subprocess.run(again, check=True, stdout=subprocess.DEVNULL)
    longest = time.monotonic() - began
    for number in range(1, kills + 1):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(old, out)
        (out / "notes.txt").write_text("mine")
        replacing = [*training("gru", folder, out), "--seed", "2", "--overwrite"]
        process = subprocess.Popen(replacing, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        moment = time.monotonic() + chance.uniform(0.6, 2) * longest
        while time.monotonic() < moment and process.poll() is None:
            try:
                assert loads(out)  # a reader beside it always has a run
            except seqlm.RunError:
                assert loads(out)  # which it was reading when the new one took the place
        process.kill()
        process.communicate()
        assert loads(out)
        is_new = open_run(out).config["settings"]["seed"] == 2
        left["new" if is_new else "old"] += 1
        if not is_new:
            assert not differences(old, out)
        subprocess.run(command("train", "--resume", str(out), "--quiet"), check=True, stdout=subprocess.DEVNULL)
        different = differences(new if is_new else old, out)
        assert not different, different
        left_over = {path.name for path in out.iterdir()} ^ {path.name for path in old.iterdir()} ^ {"notes.txt"}
        assert left_over <= {"loss.png"}, left_over  # killed after its last step, it has no picture
        print(
            f"{number} kills during --overwrite: {left['old']} left the old run, {left['new']} the new one", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--overwrites", type=int, default=30, help="kills of trainings that replace a run")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    kills = runs = 0
    with tempfile.TemporaryDirectory(prefix="seqlm-kill-") as folder:
        write_texts(Path(folder))
        overwrite(given.overwrites, Path(folder), chance)
        while kills < given.kills:
            kind = KINDS[runs % len(KINDS)]
            undisturbed, out = Path(folder) / f"{kind}-whole", Path(folder) / f"{kind}-killed"
            if not undisturbed.exists():
                began = time.monotonic()
                subprocess.run(training(kind, Path(folder), undisturbed), check=True, stdout=subprocess.DEVNULL)
                longest = time.monotonic() - began
            shutil.rmtree(out, ignore_errors=True)
            while True:
                resumable = (out / "config.json").exists()
                if not resumable:
                    shutil.rmtree(out, ignore_errors=True)
                resuming = f"{'tag ' if kind == TAGGER else ''}train --resume {out} --quiet"
                start = command(*resuming.split()) if resumable else training(kind, Path(folder), out)
                process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                try:
                    process.wait(chance.uniform(0.3, 0.6 * longest) if kills < given.kills else None)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
                    assert loads(out)
                    continue
                assert process.returncode == 0, process.stderr.read().decode()
                break
            runs += 1
            different = differences(undisturbed, out)
            assert not different, f"the killed run differs: {kind}, {kills} kills: {different}"
            print(f"{kills} kills, {runs} runs resumed to the end and equal to undisturbed ones", flush=True)
    print(f"{kills} kills survived, 0 lost, in {runs} runs of {len(KINDS)} kinds")


if __name__ == "__main__":
    main()
