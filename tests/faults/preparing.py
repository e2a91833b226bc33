"""Kills trainings while they prepare a large text, damages what was kept, and fills the file system of the cache.

After each fault another training of the same text must come to the same weights as an undisturbed one. Filling the file
system needs root, and is left out without it.

python tests/faults/preparing.py --kills 20
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill import command, differences

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
OPTIONS = ["--tokenizer", "word", "--hidden-size", "12", "--batch-size", "8", "--max-steps", "3", "--quiet"]
COPIES = 300  # of the sample text; 17 MB, which several processes cut
DAMAGES = ("flipped", "cut", "removed")


def training(text: Path, out: Path) -> list[str]:
    return command("train", str(text), "--out", str(out), *OPTIONS)


def trained(text: Path, out: Path) -> str:
    """Train a run, and return what was told."""
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(training(text, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def killed(text: Path, cache: Path, whole: Path, folder: Path, kills: int, choices: random.Random) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    started = time.perf_counter()
    trained(text, folder / "run")
    longest = time.perf_counter() - started
    finished = 0
    for _ in range(kills):
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(folder / "run", ignore_errors=True)
        process = subprocess.Popen(
            training(text, folder / "run"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(choices.uniform(0, longest))
        finished += process.poll() is not None
        process.kill()
        process.wait()
        trained(text, folder / "run")
        assert not differences(whole, folder / "run")
        left = [path.name for path in (cache / "texts").iterdir() if path.name.startswith(".")]
        assert not left, left
    print(f"killed {kills - finished} times while preparing or training, and {finished} times too late: all equal")


def damaged(text: Path, cache: Path, whole: Path, folder: Path, choices: random.Random) -> None:
    count = 0
    for damage in DAMAGES:
        trained(text, folder / "run")
        for name in [path.name for path in entry(cache).iterdir()]:
            path = entry(cache) / name
            if damage == "removed":
                path.unlink()
            elif damage == "cut":
                os.truncate(path, choices.randrange(path.stat().st_size))
            elif name.endswith(".json"):  # a flipped bit of a number is not noticed, as in any other file of the user
                data = bytearray(path.read_bytes())
                data[choices.randrange(len(data))] ^= 1 << choices.randrange(8)
                path.write_bytes(data)
            else:
                continue
            trained(text, folder / "run")
            assert not differences(whole, folder / "run"), (damage, name)
            count += 1
    print(f"damaged {count} files: made again each time, all equal")


def entry(cache: Path) -> Path:
    (found,) = (path for path in (cache / "texts").iterdir() if path.name != "facts")
    return found


def at_the_same_time(text: Path, cache: Path, whole: Path, folder: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    processes = [
        subprocess.Popen(
            training(text, folder / f"run-{n}"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for n in range(3)
    ]
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    assert not any(differences(whole, folder / f"run-{n}") for n in range(3))
    entry(cache)
    print("three trainings at the same time: one of them prepared the text, all equal")


def without_room(text: Path, cache: Path, whole: Path, folder: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(cache)], check=True)
    try:
        told = trained(text, folder / "run")
        print(told.strip())
        assert told.count("No space left on device") == 1
        assert not differences(whole, folder / "run")
        assert [path.name for path in (cache / "texts").iterdir()] == ["facts"]
    finally:
        subprocess.run(["umount", str(cache)], check=True)
    print("no room for the cache: prepared for this training alone, equal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    choices = random.Random(arguments.seed)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="seqlm-preparing-") as name:
        folder = Path(name)
        text, whole, cache = folder / "text.txt", folder / "whole", folder / "cache"
        text.write_text(TEXT.read_text(encoding="utf-8") * COPIES, encoding="utf-8")
        time.sleep(3)  # until the file is old enough to be recognized
        os.environ.update(SEQLM_CACHE_DIR=str(cache), SEQLM_CACHE_LIMIT="0")
        trained(text, whole)
        os.environ["SEQLM_CACHE_LIMIT"] = "1"
        killed(text, cache, whole, folder, arguments.kills, choices)
        damaged(text, cache, whole, folder, choices)
        at_the_same_time(text, cache, whole, folder)
        if os.geteuid() == 0:
            without_room(text, cache, whole, folder)


if __name__ == "__main__":
    sys.exit(main())
