"""Fills a file system while a training saves into it, makes it read-only, and takes a directory away. Needs root.

python tests/faults/full_disk.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill import command, differences

import seqlm_core as seqlm

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
OPTIONS = [
    "--cell",
    "lstm",
    "--hidden-size",
    "64",
    "--sequence-length",
    "20",
    "--epochs",
    "4",
    "--checkpoint-every",
    "5",
    "--quiet",
]


def train(out: Path) -> subprocess.Popen[str]:
    arguments = command("train", str(TEXT), "--out", str(out), *OPTIONS)
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="seqlm-disk-") as folder:
        whole, disk = Path(folder) / "whole", Path(folder) / "disk"
        assert train(whole).wait() == 0
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
        try:
            filled(whole, disk)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        removed(Path(folder) / "removed")
        read_only(whole, disk)


def filled(whole: Path, disk: Path) -> None:
    out, filler = disk / "run", disk / "filler"
    process = train(out)
    wait_for(out / "last.safetensors")
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        pass  # it is full now
    _, told = process.communicate()
    print(f"disk full: exit code {process.returncode}: {told.strip()}")
    assert process.returncode == 1
    assert "No space left on device" in told
    assert "Traceback" not in told
    seqlm.LanguageRun(out).directory.load(out / "last.safetensors")
    assert not list(out.glob(".*")), "a file that was being written is left behind"
    filler.unlink()
    subprocess.run(command("train", "--resume", str(out), "--quiet"), check=True, stdout=subprocess.DEVNULL)
    assert not differences(whole, out)
    print("resumed after making room: equal to an undisturbed run")


def removed(out: Path) -> None:
    process = train(out)
    wait_for(out / "last.safetensors")
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    _, told = process.communicate()
    print(f"directory removed: exit code {process.returncode}: {told.strip()}")
    assert process.returncode == 1
    assert "Traceback" not in told


def read_only(whole: Path, disk: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
    try:
        out = disk / "run"
        process = train(out)
        wait_for(out / "last.safetensors")
        while subprocess.run(["mount", "-o", "remount,ro", str(disk)], stderr=subprocess.DEVNULL).returncode:
            time.sleep(0.01)  # refused while a file is being written
        _, told = process.communicate()
        print(f"permission lost: exit code {process.returncode}: {told.strip()}")
        assert process.returncode == 1
        assert "Traceback" not in told
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        subprocess.run(command("train", "--resume", str(out), "--quiet"), check=True, stdout=subprocess.DEVNULL)
        assert not differences(whole, out)
        print("resumed with permission again: equal to an undisturbed run")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


if __name__ == "__main__":
    sys.exit(main())
